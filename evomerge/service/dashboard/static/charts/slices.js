// How scores lie along genes: a small chart for each gene, the best candidates marked.

import { plain, plot } from "evomerge/chart.js";
import { brief, tails } from "evomerge/charts/names.js";
import { compact, score } from "evomerge/format.js";

const WIDE_PX = 260;
const HIGH_PX = 230;
const MOST_SVG = 600; // More points in all charts together are quick only with WebGL.
const BINS = 10;
const FEWEST_IN_BIN = 3;

/**
 * Draw one objective against each gene.
 *
 * @param {HTMLElement} element Its height is set here.
 * @param {object} parameters The API's answer on parameters.
 * @param {object} options
 * @param {string} options.objective
 * @param {(candidate: string) => void} options.onPick Called on a click on a point.
 * @returns {Promise<void>} once it is drawn.
 */
export function drawSlices(element, parameters, { objective, onPick } = {}) {
  const { candidates, genes, objectives } = parameters.slices;
  const names = Object.keys(genes);
  const facts = new Map(parameters.genes.map((gene) => [gene.name, gene]));
  const all = tails(parameters.genes.map((gene) => gene.name));
  const short = new Map(parameters.genes.map((gene, i) => [gene.name, all[i]]));
  const scores = objectives[objective];
  const best = bestOf(scores, parameters, objective);
  const across = Math.max(1, Math.min(names.length, Math.floor(element.clientWidth / WIDE_PX)));
  const down = Math.ceil(names.length / across);
  element.style.height = `${down * HIGH_PX + 40}px`;
  const type = names.length * candidates.length > MOST_SVG ? "scattergl" : "scatter";
  const points = { candidates, scores, best, type };
  const make = (theme) => ({
    traces: names.flatMap((name, i) => tracesOf(facts.get(name), genes[name], points, i, theme)),
    layout: {
      margin: { l: 52, r: 12, t: 34, b: 40 },
      grid: { rows: down, columns: across, pattern: "independent", xgap: 0.16, ygap: down > 1 ? 0.34 : 0 },
      hovermode: "closest",
      ...Object.fromEntries(
        names.flatMap((name, i) => axesOf(facts.get(name), short.get(name), objective, i, across)),
      ),
    },
  });
  const click = ({ points: [point] }) => point.customdata && onPick?.(point.customdata);
  return plot(element, make, { label: `${objective} against ${names.join(", ")}`, on: { click } });
}

/** Return which candidates are among the best. */
function bestOf(scores, parameters, objective) {
  const { direction } = parameters.objectives.find((item) => item.name === objective);
  const sign = direction === "maximize" ? -1 : 1;
  const sorted = scores.map((value) => sign * value).sort((a, b) => a - b);
  const limit = sorted[Math.max(0, Math.ceil(parameters.quantile * sorted.length) - 1)];
  return scores.map((value) => sign * value <= limit);
}

function tracesOf(gene, values, { candidates, scores, best, type }, i, theme) {
  const place = i === 0 ? "" : String(i + 1);
  const axes = { xaxis: `x${place}`, yaxis: `y${place}`, showlegend: false };
  const known = values.map((_, row) => row).filter((row) => values[row] !== null);
  const isChoice = gene.kind === "categorical";
  const aside = (row) => (isChoice ? 0.5 * (scattered(row) - 0.5) : 0);
  const x = (row) => values[row] + aside(row);
  const shown = (row) => (isChoice ? plain(gene.choices[values[row]]) : compact(values[row]));
  const cloud = (rows, name, marker) => ({
    ...axes,
    type,
    mode: "markers",
    name,
    legendgroup: name,
    showlegend: i === 0,
    x: rows.map(x),
    y: rows.map((row) => scores[row]),
    customdata: rows.map((row) => candidates[row]),
    text: rows.map((row) => `${plain(candidates[row])}: ${score(scores[row])} at ${shown(row)}`),
    hoverinfo: "text",
    marker,
  });
  const many = known.length > 300;
  return [
    cloud(known.filter((row) => !best[row]), "candidates",
      { color: theme.faded, size: many ? 4 : 6, opacity: many ? 0.6 : 0.9 }),
    cloud(known.filter((row) => best[row]), "the best",
      { color: theme.series[1], size: many ? 5 : 7, symbol: "diamond" }),
    ...trendOf(gene, known, values, scores, axes, i, theme),
  ];
}

/** Return the mean score along a gene, as a line; nothing where there are too few candidates. */
function trendOf(gene, rows, values, scores, axes, i, theme) {
  if (gene.kind === "categorical" || rows.length < 3 * BINS) return [];
  const spread = gene.scale === "log" ? Math.log : (value) => value;
  const [low, high] = [spread(gene.low), spread(gene.high)];
  const sums = Array.from({ length: BINS }, () => ({ n: 0, x: 0, y: 0 }));
  for (const row of rows) {
    const at = high > low ? Math.floor((BINS * (spread(values[row]) - low)) / (high - low)) : 0;
    const bin = sums[Math.min(BINS - 1, Math.max(0, at))];
    bin.n += 1;
    bin.x += values[row];
    bin.y += scores[row];
  }
  const bins = sums.filter((bin) => bin.n >= FEWEST_IN_BIN);
  return [
    {
      ...axes,
      mode: "lines",
      name: "average",
      legendgroup: "average",
      showlegend: i === 0,
      x: bins.map((bin) => bin.x / bin.n),
      y: bins.map((bin) => bin.y / bin.n),
      hoverinfo: "skip",
      line: { color: theme.series[0], width: 2 },
    },
  ];
}

function axesOf(gene, short, objective, i, across) {
  const place = i === 0 ? "" : String(i + 1);
  const choices = {
    tickvals: gene.choices.map((_, k) => k),
    ticktext: gene.choices.map((text) => plain(brief(text, 12))),
    range: [-0.5, gene.choices.length - 0.5],
  };
  return [
    [`xaxis${place}`, {
      title: { text: plain(brief(short, 36)), standoff: 4 },
      ...calm,
      ...(gene.scale === "log" ? { type: "log" } : {}),
      ...(gene.kind === "categorical" ? choices : {}),
    }],
    [`yaxis${place}`, {
      title: { text: i % across === 0 ? plain(brief(objective, 28)) : "" },
      ...calm,
    }],
  ];
}

const calm = { zeroline: false, nticks: 5, fixedrange: true };

/** Return a number in [0, 1) that looks random and is always the same for a row. */
function scattered(row) {
  const x = Math.sin(row + 1) * 43758.5453;
  return x - Math.floor(x);
}
