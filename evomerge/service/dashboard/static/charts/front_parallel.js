// A front of any number of objectives as parallel axes, with ranges that can be brushed.

import { plain, plot } from "evomerge/chart.js";
import { KINDS, pointsOf, rangeOf } from "evomerge/charts/front_points.js";
import { count } from "evomerge/format.js";

/** More lines of other candidates would hide each other. */
export const MOST_OTHERS = 500;

/** Draw the front as parallel axes; see `drawFront`. */
export async function drawParallel(element, picture, options) {
  const few = { ...picture, others: spreadOf(picture.others, MOST_OTHERS) };
  const groups = KINDS.map((kind) => pointsOf(few, kind));
  const candidates = groups.flatMap((part) => part.candidates);
  const make = (colours) => ({
    traces: [traceOf(picture, groups, candidates, options, colours)],
    layout: { margin: { l: 48, r: 48, t: 56, b: 24 } },
  });
  let hovered = null;
  const hover = (candidate, found) => {
    hovered = candidate;
    options.onHover?.(candidate, found);
  };
  element.onclick = () => hovered && options.onPick?.(hovered); // Plotly tells of no clicks on lines.
  const on = {
    hover: (found) => hover(candidates[found.curveNumber] ?? null, found), // Its name of the line's number.
    unhover: (found) => hover(null, found),
    restyle: () => options.onBrush?.(brushed(element, picture)),
  };
  const names = picture.objectives.map(({ name }) => name).join(", ");
  const shown = `${count(picture.counts.front)} candidates on the front`;
  const label = `${names} as parallel axes: ${shown}. The list below has all of them.`;
  await plot(element, make, { label, role: "group", on });
}

/**
 * Say if a point lies within what is brushed.
 *
 * @param {object} point One of `listed`.
 * @param {Object<string, number[][]>} ranges Objective → ranges; it must lie in one of each.
 */
export function isBrushed(point, ranges) {
  return Object.entries(ranges).every(([name, parts]) => {
    const value = point.numbers[name]?.value;
    return parts.some(([low, high]) => value !== null && value >= low && value <= high);
  });
}

function traceOf(picture, groups, candidates, { chosen, pinned, ranges }, colours) {
  // Larger numbers are drawn above smaller ones.
  const levels = groups.flatMap((part, level) => part.candidates.map(() => level));
  const pins = new Set(pinned);
  const levelOf = (candidate, i) => (pins.has(candidate) ? 3 : levels[i]);
  const drawn = candidates.map((candidate, i) => (candidate === chosen ? 4 : levelOf(candidate, i)));
  const looks = [colours.faded, colours.series[0], colours.series[1], colours.series[2], colours.series[7]];
  return {
    type: "parcoords",
    dimensions: picture.objectives.map((objective) => dimensionOf(objective, groups, ranges)),
    line: { color: drawn, cmin: -0.5, cmax: 4.5, colorscale: steps(looks), showscale: false },
    unselected: { line: { color: colours.line, opacity: 0.35 } },
    labelfont: { size: 12, color: colours.ink },
    tickfont: { size: 10, color: colours.ink },
    rangefont: { size: 10, color: "rgba(0,0,0,0)" }, // They repeat the outermost ticks.
  };
}

function dimensionOf({ name, direction }, groups, ranges) {
  const columns = groups.map((part) => part.value[name]);
  const [low, high] = rangeOf(columns, []);
  const up = direction === "maximize";
  const brush = ranges[name];
  return {
    label: plain(`${name} ${up ? "↑" : "↓"}`),
    values: columns.flat(),
    // The better end is above on each axis.
    range: up ? [low, high] : [high, low],
    tickformat: ".3~g",
    ...(brush?.length ? { constraintrange: brush } : {}),
  };
}

/** Return `most` points spread over all of `part`. */
function spreadOf(part, most) {
  const n = part.candidates.length;
  if (n <= most) return part;
  const pick = (column) => Array.from({ length: most }, (_, i) => column[Math.floor((i * n) / most)]);
  const value = Object.fromEntries(Object.entries(part.value).map(([name, column]) => [name, pick(column)]));
  return { ...part, candidates: pick(part.candidates), value };
}

/** Return a colour scale that gives whole numbers their own colours. */
function steps(looks) {
  return looks.flatMap((colour, i) => [[i / looks.length, colour], [(i + 1) / looks.length, colour]]);
}

function brushed(element, picture) {
  const found = {};
  picture.objectives.forEach(({ name }, i) => {
    const range = element.data[0].dimensions[i]?.constraintrange;
    if (range?.length) found[name] = Array.isArray(range[0]) ? range : [range];
  });
  return found;
}
