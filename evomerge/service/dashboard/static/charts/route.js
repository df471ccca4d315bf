// The route that the data takes through the layers: a lane a source, a box a run of layers.

import { compact, plural } from "evomerge/format.js";
import { canvas, cut, shape } from "evomerge/charts/svg.js";

const LEFT = 112;
const LANE = 44;
const BOX = 26;
const GAP = 26;
const TOP = 22;
const SQUARE = 14;
const STRIP = 48;
const CHAR = 7.2;

/**
 * Draw a candidate's "route" into `element`, which scrolls where the route is long.
 *
 * @param {HTMLElement} element Where to.
 * @param {object} route As the API gives it.
 */
export function drawRoute(element, route) {
  const stops = [
    { lane: route.embedding, text: "embed" },
    ...route.runs.map((run) => ({ lane: run.lane, text: layersOf(run), ...numbersOf(run) })),
    ...(route.norm === route.head
      ? [{ lane: route.head, text: "norm, head" }]
      : [
          { lane: route.norm, text: "norm" },
          { lane: route.head, text: "head" },
        ]),
  ];
  let x = LEFT;
  for (const stop of stops) {
    const longest = Math.max(stop.text.length, (stop.above ?? "").length, (stop.below ?? "").length);
    stop.x = x;
    stop.width = Math.max(30, longest * CHAR + 10);
    x += stop.width + GAP;
  }
  const width = Math.max(x - GAP + 4, LEFT + 10 * SQUARE);
  const strips = TOP + route.lanes.length * LANE + 16;
  const perRow = Math.max(10, Math.floor((Math.max(width, element.clientWidth) - LEFT) / SQUARE));
  let height = strips;
  const rows = route.lanes.map((lane) => {
    const at = height;
    height += STRIP + SQUARE * (Math.ceil(lane.counts.length / perRow) - 1) + 4;
    return at;
  });
  const svg = canvas(
    element,
    Math.max(width, Math.min(element.clientWidth, LEFT + perRow * SQUARE)),
    height,
    route.sentence,
  );
  svg.setAttribute("role", "img");
  const places = new Map(route.lanes.map((lane, i) => [lane.letter, i]));
  route.lanes.forEach((lane, i) => drawLane(svg, lane, i, width));
  stops.forEach((stop, i) => {
    const next = stops[i + 1];
    if (next) drawArrow(svg, stop, next, places);
  });
  for (const stop of stops) drawStop(svg, stop, places.get(stop.lane));
  route.lanes.forEach((lane, i) => drawStrip(svg, lane, i, rows[i], perRow));
}

function layersOf(run) {
  return run.stop - run.start > 1 ? `${run.start}–${run.stop - 1}` : `${run.start}`;
}

/** Return what stands above and below a box: numbers that aren't 1. */
function numbersOf(run) {
  const above = [run.scale === 1 ? "" : `×${exact(run.scale)}`, run.times > 1 ? `↻${run.times}` : ""];
  const below = [
    run.qk === 1 ? "" : `qk ${exact(run.qk)}`,
    run.write === 1 ? "" : `write ${exact(run.write)}`,
  ];
  return { above: above.filter(Boolean).join(" "), below: below.filter(Boolean).join(" ") };
}

/** Three digits, or as many as tell a number from 1. */
function exact(value) {
  return compact(value) === "1" ? String(value) : compact(value);
}

function middle(place) {
  return TOP + place * LANE + LANE / 2;
}

function colour(place) {
  return `var(--series-${(place % 8) + 1})`;
}

function drawLane(svg, lane, place, width) {
  const y = middle(place);
  svg.append(
    shape("line", { x1: LEFT - 8, x2: width, y1: y, y2: y, class: "lane" }),
    shape("text", { x: 4, y: y + 4, class: "name" }, cut(`${lane.letter}  ${lane.name}`, 15)),
  );
}

function drawArrow(svg, from, to, places) {
  const [x1, y1] = [from.x + from.width, middle(places.get(from.lane))];
  const [x2, y2] = [to.x, middle(places.get(to.lane))];
  const half = (x2 - x1) / 2;
  svg.append(
    shape("path", { d: `M${x1} ${y1}C${x1 + half} ${y1} ${x2 - half} ${y2} ${x2 - 2} ${y2}`, class: "flow" }),
    shape("path", { d: `M${x2 - 6} ${y2 - 4}l5 4l-5 4`, class: "flow" }),
  );
}

function drawStop(svg, stop, place) {
  const y = middle(place);
  const centre = stop.x + stop.width / 2;
  const box = { x: stop.x, y: y - BOX / 2, width: stop.width, height: BOX, rx: 4 };
  svg.append(
    shape("rect", { ...box, class: "ground" }),
    shape("rect", { ...box, class: "stop", style: `fill:${colour(place)};stroke:${colour(place)}` }),
    shape("text", { x: centre, y: y + 4, class: "middle" }, stop.text),
  );
  if (stop.above)
    svg.append(shape("text", { x: centre, y: y - BOX / 2 - 4, class: "middle small" }, stop.above));
  if (stop.below)
    svg.append(shape("text", { x: centre, y: y + BOX / 2 + 12, class: "middle small" }, stop.below));
}

/** Draw a square a layer of a source: filled where it is taken, with how often. */
function drawStrip(svg, lane, place, y, perRow) {
  const used = lane.counts.filter((n) => n > 0).length;
  const of = lane.depth === null ? "" : ` of ${lane.depth}`;
  const facts = used
    ? `${used}${of} layers in ${plural(
        lane.counts.reduce((a, b) => a + b, 0),
        "step",
      )}`
    : "no layers";
  const note = lane.note ? ` (${lane.note})` : "";
  svg.append(
    shape("text", { x: 4, y: y + 12, class: "name" }, cut(`${lane.letter}  ${lane.name}`, 15)),
    shape("text", { x: LEFT, y: y + 12, class: "small" }, cut(`${facts}${note}`, 90)),
  );
  lane.counts.forEach((n, layer) => {
    const at = {
      x: LEFT + (layer % perRow) * SQUARE,
      y: y + 18 + Math.floor(layer / perRow) * SQUARE,
      width: SQUARE - 2,
      height: SQUARE - 2,
      rx: 2,
    };
    const square = shape(
      "rect",
      n ? { ...at, class: "taken", style: `fill:${colour(place)}` } : { ...at, class: "skipped" },
    );
    square.append(
      shape("title", {}, `layer ${layer}: ${n ? `taken ${n === 1 ? "once" : `${n} times`}` : "skipped"}`),
    );
    svg.append(square);
    if (n > 1) {
      const text = n > 9 ? "+" : String(n);
      svg.append(shape("text", { x: at.x + 6, y: at.y + 10, class: "middle count" }, text));
    }
  });
}
