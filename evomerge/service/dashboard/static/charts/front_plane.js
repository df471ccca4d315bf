// A front of two objectives as a plane, or of one over the search.

import { plain, plot } from "evomerge/chart.js";
import { axisTitle, marksOf, nameOf, pointsOf, rangeOf, WORDS } from "evomerge/charts/front_points.js";
import { placeLabels } from "evomerge/charts/labels.js";
import { faint } from "evomerge/colours.js";
import { count } from "evomerge/format.js";

const MOST_SVG = 1000; // More points are quick only with WebGL.

/** Draw the front as a plane; see `drawFront`. */
export async function drawPlane(element, picture, options) {
  const axes = axesOf(picture);
  const groups = {
    others: pointsOf(picture, "others"),
    front: pointsOf(picture, "front"),
    landmarks: pointsOf(picture, "landmarks"),
    parents: options.parents,
  };
  const ranges = axes.map((axis) => axis.range(groups, options));
  const n = groups.others.candidates.length + groups.front.candidates.length;
  const make = (colours) => ({
    traces: tracesOf(picture, groups, axes, options, colours).map((trace) => ({
      type: n > MOST_SVG ? "scattergl" : "scatter",
      hoverinfo: "none",
      ...trace,
    })),
    layout: layoutOf(element, picture, groups, axes, ranges, colours),
  });
  const on = {
    hover: ({ points, event }) => options.onHover?.(points[0].customdata ?? null, event),
    unhover: ({ event }) => options.onHover?.(null, event),
    click: ({ points }) => points[0].customdata && options.onPick?.(points[0].customdata),
  };
  await plot(element, make, { label: labelOf(picture, axes), role: "group", on });
}

/** Return how many points lie beyond the part of the plane that is shown first. */
export function beyondPlane(picture) {
  const axes = axesOf(picture);
  const groups = Object.fromEntries(["others", "front", "landmarks"].map((k) => [k, pointsOf(picture, k)]));
  const ranges = axes.map((axis) => axis.range(groups, { intervals: false }));
  const columns = axes.map((axis) => axis.values(groups.others));
  const inside = (row) => ranges.every(([low, high], i) => columns[i][row] >= low && columns[i][row] <= high);
  return groups.others.candidates.filter((_, row) => !inside(row)).length;
}

function axesOf(picture) {
  const found = picture.objectives.slice(0, 2).map((objective) => ({
    title: axisTitle(objective),
    maximize: objective.direction === "maximize",
    values: (part) => part.value[objective.name],
    ends: (part) => part.low && [part.low[objective.name], part.high[objective.name]],
    range({ front, landmarks, others }, { intervals }) {
      const ends = intervals ? this.ends(front) : [];
      return rangeOf([this.values(front), this.values(landmarks), ...ends], this.values(others));
    },
  }));
  return found.length === 2 ? found : [askAxis(), ...found];
}

function askAxis() {
  return {
    title: "ask of the search",
    whole: true,
    maximize: true,
    values: (part) => part.asks,
    ends: () => null,
    range: (groups) => rangeOf(Object.values(groups).map((part) => part.asks), []),
  };
}

function tracesOf(picture, groups, [x, y], options, colours) {
  const { front, others, landmarks } = groups;
  const traces = [];
  const add = (part, keep, trace) => {
    const rows = part.candidates.map((_, row) => row).filter(keep);
    if (!rows.length) return;
    const pick = (column) => rows.map((row) => column[row]);
    const places = { x: pick(x.values(part)), y: pick(y.values(part)) };
    traces.push({ mode: "markers", ...trace, ...places, customdata: pick(part.candidates) });
  };
  const size = others.candidates.length > 500 ? 4 : 6;
  const faded = { color: colours.faded, opacity: others.candidates.length > 500 ? 0.55 : 0.8, size };
  add(others, (row) => others.feasible[row], { name: WORDS.others, marker: faded });
  const missed = { name: "constraints missed", marker: { ...faded, symbol: "x" } };
  add(others, (row) => !others.feasible[row], missed);
  if (picture.objectives.length > 1 && front.candidates.length > 1) traces.push(lineOf(front, x, y, colours));
  const own = { color: colours.series[0], size: front.candidates.length > 500 ? 6 : 9 };
  const bars = options.intervals ? intervalsOf(front, [x, y], colours) : {};
  // Where no candidate keeps the constraints the front is of those that miss them least.
  const symbol = front.feasible.every(Boolean) ? "circle" : "x";
  add(front, () => true, { name: WORDS.front, marker: { ...own, symbol }, ...bars });
  const edge = { color: colours.surface, width: 1 };
  const mark = { color: colours.series[1], symbol: "diamond", size: 11, line: edge };
  add(landmarks, () => true, { name: WORDS.landmarks, marker: mark });
  return [...traces, ...ringsOf(groups, [x, y], options, colours)];
}

/** Return the line between what the front dominates and what nothing reaches. */
function lineOf(front, x, y, colours) {
  const [xs, ys] = [x.values(front), y.values(front)];
  const rows = xs.map((_, row) => row).sort((a, b) => xs[a] - xs[b] || ys[a] - ys[b]);
  return {
    mode: "lines",
    x: rows.map((row) => xs[row]),
    y: rows.map((row) => ys[row]),
    // A step turns where the worse of both neighbours is reached.
    line: { color: colours.series[0], width: 1.5, shape: x.maximize ? "vh" : "hv" },
    showlegend: false,
    hoverinfo: "skip",
  };
}

function intervalsOf(front, axes, colours) {
  const bars = axes.map((axis) => {
    const ends = axis.ends(front);
    if (!ends) return undefined;
    const values = axis.values(front);
    return {
      type: "data",
      symmetric: false,
      array: values.map((value, row) => Math.max(0, ends[1][row] - value)),
      arrayminus: values.map((value, row) => Math.max(0, value - ends[0][row])),
      color: faint(colours.series[0], 0.35),
      thickness: 1.2,
      width: 0,
    };
  });
  return { error_x: bars[0], error_y: bars[1] };
}

/** Return rings around what is pinned and chosen, and the chosen one's parents with lines to them. */
function ringsOf(groups, [x, y], { chosen, pinned }, colours) {
  const find = (candidate) => {
    for (const part of Object.values(groups)) {
      const row = part.candidates.indexOf(candidate);
      const place = [x.values(part)?.[row], y.values(part)?.[row]];
      if (place.every(Number.isFinite)) return place;
    }
    return null;
  };
  const ring = (places, trace) => ({
    mode: "markers",
    showlegend: false,
    hoverinfo: "skip",
    ...trace,
    x: places.map((place) => place[0]),
    y: places.map((place) => place[1]),
  });
  const traces = [];
  const held = pinned.map((candidate, index) => [find(candidate), `${index + 1}`]).filter(([place]) => place);
  if (held.length) {
    traces.push(ring(held.map(([place]) => place), {
      mode: "markers+text",
      text: held.map(([, number]) => number),
      textposition: "bottom right",
      textfont: { color: colours.ink, size: 12 },
      marker: { symbol: "circle-open", size: 15, color: colours.ink, line: { width: 1.5 } },
    }));
  }
  const place = chosen && find(chosen);
  if (!place) return traces;
  const parents = groups.parents.candidates.filter(find);
  for (const parent of parents) {
    const line = { color: colours.ink, width: 1.2, dash: "dot" };
    traces.push(ring([find(parent), place], { mode: "lines", line }));
  }
  if (parents.length) {
    const marker = { symbol: "triangle-up-open", size: 13, color: colours.ink, line: { width: 2 } };
    traces.push(ring(parents.map(find), { name: "parents of the chosen", marker, showlegend: true }));
  }
  const marker = { symbol: "circle-open", size: 20, color: colours.accent, line: { width: 3 } };
  return [...traces, ring([place], { marker })];
}

function layoutOf(element, picture, groups, axes, ranges, colours) {
  const axis = (i) => ({
    title: { text: plain(axes[i].title), font: { size: 12 } },
    range: ranges[i],
    zeroline: false,
    ...(axes[i].whole && ranges[i][1] - ranges[i][0] < 10 ? { dtick: 1 } : {}),
  });
  return {
    xaxis: axis(0),
    yaxis: axis(1),
    hovermode: "closest",
    hoverdistance: 12,
    // Fingers move the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    uirevision: picture.objectives.map(({ name }) => name).join("\n") + picture.split,
    annotations: placeLabels(element, labelsOf(picture, groups, axes), ranges, colours),
  };
}

/** Return the points that have a name on the chart, the most important ones first. */
function labelsOf(picture, { front, landmarks }, [x, y]) {
  const found = new Map();
  const add = (part, row, text) => {
    const place = [x.values(part)[row], y.values(part)[row]];
    const known = found.get(`${place}`);
    found.set(`${place}`, { place, text: known ? `${known.text}, ${text}` : text });
  };
  landmarks.candidates.forEach((_, row) => add(landmarks, row, nameOf(landmarks.origins[row])));
  front.candidates.forEach((candidate, row) => {
    const marks = marksOf(picture, candidate);
    if (marks.length) add(front, row, marks.join(", "));
  });
  return [...found.values()];
}

function labelOf(picture, axes) {
  const names = axes.map(({ title }) => title).join(" against ");
  const shown = `${count(picture.counts.front)} candidates on the front`;
  return `${names}: ${shown}. The list beside the chart has all of them.`;
}
