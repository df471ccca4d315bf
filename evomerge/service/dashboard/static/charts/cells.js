// The best model of each kind, as a grid of cells over what models are like.

import { plain, plot } from "evomerge/chart.js";
import { colourbar } from "evomerge/charts/niche_map.js";
import { compact, score } from "evomerge/format.js";

/**
 * Draw an archive over one or two of its axes; of cells that lie behind each other the best shows.
 *
 * @param {HTMLElement} element
 * @param {object} archive One of `cells` of the API's answer on niches.
 * @param {object} options
 * @param {number[]} options.axes Numbers of the one or two axes.
 * @param {(candidate: string) => void} options.onPick Called on a click on a cell.
 * @returns {Promise<void>} once it is drawn.
 */
export function drawCells(element, archive, { axes, onPick } = {}) {
  const [across, up] = axes.map((number) => archive.axes[number]);
  const best = new Map(); // The occupants stand best first.
  for (const item of archive.occupants) {
    const key = axes.map((number) => item.cell[number]).join();
    if (!best.has(key)) best.set(key, item);
  }
  const at = (...cell) => best.get(cell.join()) ?? null;
  const hover = (item) => {
    const like = archive.axes.map((axis, i) => `${plain(axis.name)} ${compact(item.measures[i])}`);
    const quality = `${plain(archive.quality)} ${score(item.quality)}`;
    return [`${plain(item.candidate)}: ${quality}`, ...like].join("<br>");
  };
  const x = middles(across);
  const items = up
    ? Array.from({ length: up.bins }, (_, j) => x.map((_, i) => at(i, j)))
    : [x.map((_, i) => at(i))];
  const make = (theme) => ({
    traces: [up ? grid(items, x, middles(up), archive, hover, theme) : bars(items[0], x, hover, theme)],
    layout: {
      margin: { l: 56, r: 8, t: up ? 44 : 12, b: 46 },
      xaxis: axisOf(across),
      yaxis: up ? axisOf(up) : { title: { text: plain(archive.quality) }, fixedrange: true },
      hovermode: "closest",
    },
  });
  const click = ({ points: [point] }) => {
    const item = up ? items[point.pointIndex[0]][point.pointIndex[1]] : items[0][point.pointIndex];
    if (item) onPick?.(item.candidate);
  };
  const label =
    `Best ${archive.quality} by ${[across, up].filter(Boolean).map((axis) => axis.name).join(" and ")}: ` +
    `${archive.occupants.length} of ${archive.n_cells} cells are taken`;
  return plot(element, make, { label, on: { click } });
}

function grid(items, x, y, archive, hover, theme) {
  return {
    type: "heatmap",
    x,
    y,
    z: items.map((row) => row.map((item) => item?.quality ?? null)),
    text: items.map((row) => row.map((item) => (item ? hover(item) : ""))),
    hoverinfo: "text",
    // Without the colour of nothing, which an empty cell has.
    colorscale: theme.ramp.slice(1).map(([, colour], i, all) => [i / (all.length - 1), colour]),
    xgap: 1,
    ygap: 1,
    colorbar: colourbar(plain(archive.quality), theme),
  };
}

function bars(items, x, hover, theme) {
  return {
    type: "bar",
    x,
    y: items.map((item) => item?.quality ?? null),
    text: items.map((item) => (item ? hover(item) : "")),
    textposition: "none",
    hoverinfo: "text",
    marker: { color: theme.series[0] },
  };
}

function axisOf(axis) {
  const title = { text: plain(axis.name) };
  return { title, range: [axis.low, axis.high], zeroline: false, fixedrange: true };
}

function middles(axis) {
  const width = (axis.high - axis.low) / axis.bins;
  return Array.from({ length: axis.bins }, (_, i) => axis.low + (i + 0.5) * width);
}
