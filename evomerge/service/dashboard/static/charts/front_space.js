// A front of three objectives as a space that can be turned.

import { plain, plot } from "evomerge/chart.js";
import { axisTitle, KINDS, nameOf, pointsOf, rangeOf, WORDS } from "evomerge/charts/front_points.js";
import { count } from "evomerge/format.js";

/** Draw the front as a space; see `drawFront`. */
export async function drawSpace(element, picture, options) {
  const groups = Object.fromEntries(KINDS.map((kind) => [kind, pointsOf(picture, kind)]));
  groups.parents = options.parents;
  const make = (colours) => ({
    traces: tracesOf(picture, groups, options, colours),
    layout: layoutOf(picture, groups, colours),
  });
  const on = {
    hover: ({ points, event }) => options.onHover?.(points[0].customdata ?? null, event),
    unhover: ({ event }) => options.onHover?.(null, event),
    click: ({ points }) => points[0].customdata && options.onPick?.(points[0].customdata),
  };
  const names = picture.objectives.map(({ name }) => name).join(", ");
  const shown = `${count(picture.counts.front)} candidates on the front`;
  const label = `${names} in space: ${shown}. The list beside has all of them.`;
  await plot(element, make, { label, role: "group", on });
}

function tracesOf(picture, groups, options, colours) {
  const many = groups.others.candidates.length > 500;
  const looks = {
    others: { color: colours.faded, size: many ? 1.5 : 3, opacity: many ? 0.35 : 0.6 },
    front: { color: colours.series[0], size: 5 },
    landmarks: { color: colours.series[1], size: 6, symbol: "diamond" },
  };
  const trace = (places, rest) => ({
    type: "scatter3d",
    mode: "markers",
    hoverinfo: "none",
    ...rest,
    x: places.map((place) => place[0]),
    y: places.map((place) => place[1]),
    z: places.map((place) => place[2]),
  });
  const traces = KINDS.filter((kind) => groups[kind].candidates.length).map((kind) =>
    trace(placesOf(picture, groups[kind]), {
      name: WORDS[kind],
      marker: looks[kind],
      customdata: groups[kind].candidates,
      ...(kind === "landmarks" ? namesOf(groups.landmarks, colours) : {}),
    }),
  );
  const find = finder(picture, groups);
  const numbered = options.pinned.map((candidate, i) => [find(candidate), `${i + 1}`]);
  const held = numbered.filter(([place]) => place);
  const ring = { symbol: "circle-open", color: colours.ink, size: 10 };
  const still = { showlegend: false, hoverinfo: "skip" };
  if (held.length) {
    const text = held.map(([, number]) => number);
    const numbers = { mode: "markers+text", text, textfont: { color: colours.ink } };
    traces.push(trace(held.map(([place]) => place), { ...still, ...numbers, marker: ring }));
  }
  const place = options.chosen && find(options.chosen);
  if (!place) return traces;
  for (const from of groups.parents.candidates.map(find).filter(Boolean)) {
    const line = { color: colours.ink, width: 2, dash: "dot" };
    traces.push(trace([from, place], { ...still, mode: "lines", line }));
  }
  traces.push(trace([place], { ...still, marker: { ...ring, color: colours.accent, size: 14 } }));
  return traces;
}

function namesOf(landmarks, colours) {
  const text = landmarks.origins.map((origin) => plain(nameOf(origin)));
  const textfont = { size: 11, color: colours.ink };
  return { mode: "markers+text", text, textfont, textposition: "top center" };
}

function placesOf(picture, part) {
  const columns = picture.objectives.map(({ name }) => part.value[name]);
  return part.candidates.map((_, row) => columns.map((column) => column[row]));
}

function finder(picture, groups) {
  return (candidate) => {
    for (const part of Object.values(groups)) {
      const row = part.candidates.indexOf(candidate);
      const place = picture.objectives.map(({ name }) => part.value[name]?.[row]);
      if (place.every(Number.isFinite)) return place;
    }
    return null;
  };
}

function layoutOf(picture, groups, colours) {
  const axes = picture.objectives.map((objective) => {
    const column = (part) => part.value[objective.name];
    return {
      title: { text: plain(axisTitle(objective)), font: { size: 11 } },
      range: rangeOf([column(groups.front), column(groups.landmarks)], column(groups.others)),
      color: colours.ink,
      gridcolor: colours.line,
      linecolor: colours.line,
      zerolinecolor: colours.line,
      backgroundcolor: "rgba(0,0,0,0)",
      showspikes: false,
      nticks: 5,
    };
  });
  const revision = picture.objectives.map(({ name }) => name).join("\n") + picture.split;
  return {
    scene: {
      xaxis: axes[0],
      yaxis: axes[1],
      zaxis: axes[2],
      aspectmode: "cube",
      camera: { eye: { x: 1.55, y: 1.55, z: 0.9 }, center: { x: 0, y: 0, z: -0.12 } },
      dragmode: "orbit",
      uirevision: revision,
    },
    uirevision: revision,
    margin: { l: 0, r: 0, t: 8, b: 0 },
    legend: {
      orientation: "h",
      itemsizing: "constant",
      y: 1,
      yanchor: "top",
      x: 0,
      font: { color: colours.ink },
    },
  };
}
