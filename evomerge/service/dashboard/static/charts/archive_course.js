// How an archive grew: what it covers, beside its best member, over the results told.

import { plain, plot } from "evomerge/chart.js";
import { DASHES } from "evomerge/colours.js";
import { count, score } from "evomerge/format.js";

/**
 * Draw lines over the number of results.
 *
 * @param {HTMLElement} element
 * @param {{name: string, results: number[], values: number[]}[]} lines
 * @param {object} options
 * @param {string} options.title What is measured, for the upright axis.
 * @param {number[]|undefined} options.range Of that axis.
 * @returns {Promise<void>} once it is drawn.
 */
export function drawArchiveCourse(element, lines, { title, range } = {}) {
  const make = (theme) => ({
    traces: lines.map(({ name, results, values }, i) => ({
      x: results,
      y: values,
      mode: results.length === 1 ? "markers" : "lines",
      name: plain(name),
      showlegend: lines.length > 1,
      line: { color: theme.series[i], width: 2, dash: DASHES[i] },
      marker: { color: theme.series[i] },
      text: values.map((value, at) => `${plain(name)} ${score(value)} after ${count(results[at])} results`),
      hoverinfo: "text",
    })),
    layout: {
      margin: { l: 52, r: 12, t: 30, b: 42 },
      xaxis: { title: { text: "results told to the search" }, rangemode: "tozero", fixedrange: true },
      yaxis: { title: { text: plain(title ?? "") }, fixedrange: true, ...(range ? { range } : {}) },
      hovermode: "closest",
    },
  });
  const label = lines.map(({ name, values }) => `${name} ${score(values.at(-1))}`).join("; ");
  return plot(element, make, { label: `${title ?? ""} over results: ${label}` });
}
