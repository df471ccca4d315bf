// How runs went: the best so far with its interval, the hypervolume, the speed.

import { plain, plot } from "evomerge/chart.js";
import { DASHES, faint } from "evomerge/colours.js";
import { compact, interval, rate, score } from "evomerge/format.js";

const UNITS = [[86400, "days"], [3600, "hours"], [60, "minutes"], [1, "seconds"]];

/**
 * Draw the best so far of one objective, each run a line with its 95 % interval.
 *
 * @param {HTMLElement} element
 * @param {{name: string, curve: object, end: object, started_s: number}[]} series `curve` is
 *   `best[objective]` of a run's metrics; `end` {evaluated, at_s} is how far the run is.
 * @param {object} options
 * @param {string} options.objective
 * @param {string} options.direction "maximize" or "minimize".
 * @param {"evaluated"|"time"} options.by What goes from left to right.
 * @param {(candidate: string, series: number) => void} options.open Called on a click on a step.
 */
export function drawBest(element, series, { objective, direction, by = "evaluated", open }) {
  const across = scale(series, by);
  const make = (theme) => ({
    traces: series.flatMap((item, i) => {
      const colour = theme.series[i];
      const x = [...across.of(item, item.curve), across.end(item)];
      const steps = (values) => [...values, values.at(-1)];
      const shape = { x, mode: "lines", hoverinfo: "skip", showlegend: false, legendgroup: String(i) };
      const edge = { ...shape, line: { width: 0, shape: "hv" } };
      const band = [
        { ...edge, y: steps(item.curve.low) },
        { ...edge, y: steps(item.curve.high), fill: "tonexty", fillcolor: faint(colour, 0.16) },
      ];
      const line = {
        x,
        y: steps(item.curve.value),
        mode: "lines+markers",
        name: plain(item.name),
        showlegend: series.length > 1,
        legendgroup: String(i),
        line: { color: colour, width: 2, shape: "hv", dash: DASHES[i] },
        marker: { size: [...item.curve.value.map(() => 5), 0], color: colour },
        customdata: [...item.curve.candidates, null],
        text: [...item.curve.value.map((_, at) => hover(item, objective, at)), ""],
        hoverinfo: "text",
      };
      return [...(item.curve.low.some(Number.isFinite) ? band : []), line];
    }),
    layout: axes(across.title, objective, theme),
  });
  const worst = direction === "minimize" ? "lower is better" : "higher is better";
  const label = `${objective}, ${worst}: ${series.map((item) => `${item.name} ${last(item)}`).join("; ")}`;
  const click = ({ points: [{ customdata, data }] }) => {
    if (customdata) open?.(customdata, Number(data.legendgroup));
  };
  return plot(element, make, { label, on: { click } });
}

/** Draw the hypervolume of runs; `series` as above, with `curve` their metrics' hypervolume. */
export function drawHypervolume(element, series, { by = "evaluated" } = {}) {
  const across = scale(series, by);
  const make = (theme) => ({
    traces: series.map((item, i) => ({
      x: across.of(item, item.curve),
      y: item.curve.value,
      mode: "lines+markers",
      name: plain(item.name),
      showlegend: series.length > 1,
      line: { color: theme.series[i], width: 2, shape: "hv", dash: DASHES[i] },
      marker: { size: 4, color: theme.series[i] },
      text: item.curve.value.map((value, at) => `${score(value)} after ${compact(item.curve.evaluated[at])}`),
      hoverinfo: "text",
    })),
    layout: axes(across.title, "share of the ideal", theme),
  });
  const ends = series.map((item) => `${item.name} ${score(item.curve.value.at(-1))}`);
  const label = `Hypervolume: ${ends.join("; ")}`;
  return plot(element, make, { label });
}

/** Draw how many candidates a second runs evaluated; `curve` is their metrics' `settled`. */
export function drawSpeed(element, series, { by = "evaluated" } = {}) {
  const across = scale(series, by);
  const make = (theme) => ({
    traces: series.map((item, i) => {
      const { x, y } = speeds(item.curve, across.of(item, item.curve));
      return {
        x,
        y,
        mode: "lines",
        name: plain(item.name),
        showlegend: series.length > 1,
        line: { color: theme.series[i], width: 1.5, dash: DASHES[i] },
        text: y.map((value) => rate(value)),
        hoverinfo: "text",
      };
    }),
    layout: axes(across.title, "candidates a second", theme, { rangemode: "tozero" }),
  });
  return plot(element, make, { label: "Candidates evaluated a second over the run" });
}

/** Return what goes from left to right: candidates, or time since each run was begun. */
function scale(series, by) {
  if (by === "evaluated") {
    const of = (_, curve) => curve.evaluated;
    return { of, end: (item) => item.end.evaluated, title: "candidates evaluated" };
  }
  const since = (item, at) => at - (item.started_s ?? item.curve.at_s[0] ?? 0);
  const most = Math.max(1, ...series.map((item) => since(item, item.end.at_s)));
  const [size, name] = UNITS.find(([seconds]) => most >= 2 * seconds) ?? UNITS.at(-1);
  const of = (item, curve) => curve.at_s.map((at) => since(item, at) / size);
  return { of, end: (item) => since(item, item.end.at_s) / size, title: `${name} since the run was begun` };
}

function axes(x, y, theme, more = {}) {
  return {
    xaxis: { title: { text: plain(x) }, rangemode: "tozero" },
    yaxis: { title: { text: plain(y) }, ...more },
    hovermode: "closest",
    margin: { l: 56, r: 12, t: 8, b: 40 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { color: theme.ink } },
  };
}

function hover({ name, curve }, objective, at) {
  const numbers = { value: curve.value[at], low: curve.low[at], high: curve.high[at] };
  const lines = [
    name,
    `${objective} ${interval(numbers)}`,
    `candidate ${curve.candidates[at]}`,
    `after ${curve.evaluated[at]}`,
  ];
  return lines.map(plain).join("<br>");
}

function last({ curve }) {
  return interval({ value: curve.value.at(-1), low: curve.low.at(-1), high: curve.high.at(-1) });
}

/** Return the speed at each point, over the fortieth of the run before it. */
function speeds({ evaluated, at_s }, across) {
  const found = { x: [], y: [] };
  const width = Math.max(1, Math.ceil(evaluated.length / 40));
  for (let i = width; i < evaluated.length; i += 1) {
    const seconds = at_s[i] - at_s[i - width];
    if (seconds <= 0) continue;
    found.x.push(across[i]);
    found.y.push((evaluated[i] - evaluated[i - width]) / seconds);
  }
  return found;
}
