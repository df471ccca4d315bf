// How much genes matter for being among the best, beside what chance alone would give.

import { plain, plot } from "evomerge/chart.js";
import { brief, tails } from "evomerge/charts/names.js";
import { percent } from "evomerge/format.js";

const ROW_PX = 22;
const AROUND_PX = 64;
export const MOST_BARS = 24;

/**
 * Draw the importances of one objective as bars, the largest at the top.
 *
 * @param {HTMLElement} element Its height is set here.
 * @param {{genes: string[], value: number[], chance: number}} importance Of the API's answer.
 * @param {object} options
 * @param {string[]} options.chosen Genes that are marked.
 * @param {(gene: string) => void} options.onPick Called on a click on a bar.
 * @returns {Promise<void>} once it is drawn.
 */
export function drawImportance(element, importance, { chosen = [], onPick } = {}) {
  const genes = importance.genes.slice(0, MOST_BARS);
  const value = importance.value.slice(0, MOST_BARS);
  const short = tails(importance.genes).slice(0, MOST_BARS);
  element.style.height = `${genes.length * ROW_PX + AROUND_PX}px`;
  const most = element.clientWidth < 500 ? 18 : 40;
  const mark = (gene) => (chosen.includes(gene) ? "● " : "");
  const above = value.map((share) => share > importance.chance);
  const make = (theme) => ({
    traces: [
      {
        type: "bar",
        orientation: "h",
        x: value,
        y: genes.map((_, i) => i),
        marker: {
          color: above.map((yes) => (yes ? theme.series[0] : theme.faded)),
          pattern: { shape: above.map((yes) => (yes ? "" : "/")), fgcolor: theme.surface, size: 5 },
        },
        text: genes.map((name, i) => {
          const note = above[i] ? "" : "<br>not above chance";
          return `${plain(name)}: ${percent(value[i])} of all importance${note}`;
        }),
        textposition: "none",
        hoverinfo: "text",
      },
    ],
    layout: {
      margin: { l: 40, r: 12, t: 22, b: 36 },
      bargap: 0.3,
      xaxis: {
        title: { text: "share of all importance" },
        tickformat: ".0%",
        rangemode: "tozero",
        fixedrange: true,
      },
      yaxis: {
        autorange: "reversed",
        tickvals: genes.map((_, i) => i),
        ticktext: short.map((name, i) => mark(genes[i]) + plain(brief(name, most))),
        ticks: "",
        showgrid: false,
        fixedrange: true,
      },
      shapes: [
        { type: "line", x0: importance.chance, x1: importance.chance, yref: "paper", y0: 0, y1: 1,
          line: { color: theme.ink, width: 1.5, dash: "dash" } },
      ],
      annotations: [
        { x: importance.chance, yref: "paper", y: 1, yanchor: "bottom", xanchor: "left", showarrow: false,
          text: "chance", font: { size: 11, color: theme.quiet } },
      ],
    },
  });
  const first = genes.slice(0, 5).map((name, i) => `${name} ${percent(value[i])}`);
  const label = `Importances: ${first.join(", ")}; chance alone gives ${percent(importance.chance)}`;
  const click = ({ points: [point] }) => onPick?.(genes[point.y]);
  return plot(element, make, { label, on: { click } });
}
