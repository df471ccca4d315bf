// Which genes and objectives rise together, as a heat map of rank correlations.

import { plain, plot } from "evomerge/chart.js";
import { colourbar } from "evomerge/charts/niche_map.js";
import { brief, tails } from "evomerge/charts/names.js";
import { count } from "evomerge/format.js";

const ROW_PX = 24;
const AROUND_PX = 92;
const MOST_NUMBERS = 14;

/**
 * Draw the correlations, objectives before genes.
 *
 * @param {HTMLElement} element Its height is set here.
 * @param {object} correlations Of the API's answer on parameters.
 * @returns {Promise<void>} once it is drawn.
 */
export function drawCorrelations(element, correlations) {
  const { genes, objectives, value, n } = correlations;
  // The API has the objectives last.
  const order = [...objectives.map((_, i) => genes.length + i), ...genes.map((_, i) => i)];
  const whole = [...genes, ...objectives];
  const short = [...tails(genes), ...objectives];
  const rows = order.map((i) => order.map((j) => (i === j ? null : value[i][j])));
  element.style.height = `${Math.max(4, order.length) * ROW_PX + AROUND_PX}px`;
  const narrow = element.clientWidth < 500;
  const names = order.map((i) => plain(brief(short[i], narrow ? 14 : 26)));
  const numbers = order.length <= (narrow ? MOST_NUMBERS / 2 : MOST_NUMBERS);
  const text = order.map((i, y) =>
    order.map((j, x) => {
      if (rows[y][x] === null) return "";
      const weak = isWeak(value[i][j], n[i][j]) ? "<br>no further from 0 than chance" : "";
      const over = `${signed(value[i][j])} over ${count(n[i][j])} candidates`;
      return `${plain(whole[i])} and ${plain(whole[j])}: ${over}${weak}`;
    }),
  );
  const make = (theme) => ({
    traces: [
      {
        type: "heatmap",
        z: rows,
        text,
        hoverinfo: "text",
        colorscale: theme.diverging,
        zmin: -1,
        zmax: 1,
        xgap: 1,
        ygap: 1,
        colorbar: colourbar("", theme),
      },
    ],
    layout: {
      margin: { l: 48, r: 8, t: 32, b: 56 },
      xaxis: { tickvals: names.map((_, i) => i), ticktext: names, ...quietAxis },
      yaxis: { tickvals: names.map((_, i) => i), ticktext: names, autorange: "reversed", ...quietAxis },
      annotations: numbers ? figures(order, value, n, theme) : [],
    },
  });
  return plot(element, make, { label: `Rank correlations of ${order.length} genes and objectives` });
}

const quietAxis = { showgrid: false, zeroline: false, ticks: "", fixedrange: true };

/** Say if a correlation is what unrelated columns give in 19 of 20 cases. */
export function isWeak(value, n) {
  return n < 4 || Math.abs(value) < 1.96 / Math.sqrt(n - 1);
}

function figures(order, value, n, theme) {
  return order.flatMap((i, y) =>
    order.flatMap((j, x) =>
      i === j || value[i][j] === null || isWeak(value[i][j], n[i][j])
        ? []
        : [{ x, y, text: signed(value[i][j]), showarrow: false,
             font: { size: 10, color: Math.abs(value[i][j]) > 0.75 ? theme.surface : theme.ink } }],
    ),
  );
}

function signed(value) {
  const text = Math.abs(value).toFixed(2);
  return value < 0 ? `\u2212${text}` : `+${text}`;
}
