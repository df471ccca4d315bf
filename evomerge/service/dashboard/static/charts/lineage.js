// A candidate's family: ancestors to the left, descendants to the right, each a link.

import { score } from "evomerge/format.js";
import { canvas, cut, shape } from "evomerge/charts/svg.js";

const WIDTH = 132;
const HEIGHT = 38;
const ACROSS = 184;
const DOWN = 48;
const EDGE = 8;

/**
 * Draw who a candidate comes from and what came of it into `element`, which scrolls.
 *
 * @param {HTMLElement} element Where to.
 * @param {object} lineage As the API gives it.
 * @param {object} options
 * @param {(candidate: string) => string} options.address Where a relative's link leads; none: no
 *   links.
 * @param {(candidate: string) => string} options.marks Signs after a relative's name.
 */
export function drawLineage(element, lineage, { address = null, marks = () => "" } = {}) {
  const columns = inOrder(lineage);
  const tallest = Math.max(...columns.map((column) => column.length));
  const width = 2 * EDGE + (columns.length - 1) * ACROSS + WIDTH;
  const height = 2 * EDGE + (tallest - 1) * DOWN + HEIGHT;
  const svg = canvas(element, width, height, `Family of ${lineage.candidate}`);
  svg.setAttribute("role", "group");
  const places = new Map();
  columns.forEach((column, i) => {
    const top = EDGE + ((tallest - column.length) * DOWN) / 2;
    column.forEach((node, j) => {
      places.set(node.candidate, { x: EDGE + i * ACROSS, y: top + j * DOWN });
    });
  });
  for (const { parent, child } of lineage.edges) drawEdge(svg, places.get(parent), places.get(child));
  for (const column of columns) {
    for (const node of column) {
      const own = node.candidate === lineage.candidate;
      const box = drawNode(node, places.get(node.candidate), own, marks(node.candidate));
      svg.append(address && !own ? linked(box, address(node.candidate)) : box);
    }
  }
  const own = places.get(lineage.candidate);
  element.scrollLeft = Math.max(0, own.x + WIDTH / 2 - element.clientWidth / 2);
  element.scrollTop = Math.max(0, own.y + HEIGHT / 2 - element.clientHeight / 2);
}

/** Return the nodes by column, those with common relatives near each other. */
function inOrder({ nodes, edges }) {
  const relatives = new Map(nodes.map((node) => [node.candidate, []]));
  for (const { parent, child } of edges) {
    relatives.get(parent).push(child);
    relatives.get(child).push(parent);
  }
  const places = columnsOf(nodes, edges);
  const generations = [...new Set(places.values())].sort((a, b) => a - b);
  const columns = generations.map((g) => nodes.filter((node) => places.get(node.candidate) === g));
  const rank = new Map();
  const rankAll = (column) => column.forEach((node, i) => rank.set(node.candidate, i / column.length));
  columns.forEach(rankAll);
  // From the candidate outwards: each column is ordered by the one that is nearer to it.
  const middle = generations.indexOf(0);
  const outwards = columns.map((_, i) => i).sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
  for (const i of outwards) {
    const mean = (node) => {
      const near = relatives.get(node.candidate).map((name) => rank.get(name));
      return near.length ? near.reduce((a, b) => a + b, 0) / near.length : 0;
    };
    const means = new Map(columns[i].map((node) => [node, mean(node)]));
    columns[i].sort((a, b) => means.get(a) - means.get(b));
    rankAll(columns[i]);
  }
  return columns;
}

/** Return candidate → column: ancestors stand left of all their children, others right of all parents. */
function columnsOf(nodes, edges) {
  const found = new Map(nodes.map((node) => [node.candidate, node.generation]));
  let moved = true;
  // An ancestor may also be a parent of another one; each pass settles one more generation.
  for (let pass = 0; moved && pass < nodes.length; pass += 1) {
    moved = false;
    for (const { parent, child } of edges) {
      const [p, c] = [found.get(parent), found.get(child)];
      if (p < c) continue;
      if (p < 0) found.set(parent, c - 1);
      else found.set(child, p + 1);
      moved = true;
    }
  }
  return found;
}

function drawEdge(svg, from, to) {
  if (!from || !to) return;
  const [x1, y1] = [from.x + WIDTH, from.y + HEIGHT / 2];
  const [x2, y2] = [to.x, to.y + HEIGHT / 2];
  const bend = Math.max(24, Math.abs(x2 - x1) / 2);
  svg.append(
    shape("path", { d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, class: "flow" }),
  );
}

function drawNode(node, { x, y }, own, sign) {
  const box = shape("g", { class: `node node-${node.status}${own ? " node-own" : ""}` });
  const values = Object.entries(node.objectives).map(([, number]) => score(number.value));
  const said =
    node.status === "failed" ? "failed" : node.status === "pending" ? "not scored yet" : values.join("  ");
  box.append(
    shape("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 4 }),
    shape(
      "text",
      { x: x + 8, y: y + 16, class: "name" },
      cut(`${node.candidate}${sign ? ` ${sign}` : ""}`, 17),
    ),
    shape("text", { x: x + 8, y: y + 31, class: "small" }, cut(said, 20)),
    shape("title", {}, titleOf(node)),
  );
  return box;
}

function titleOf(node) {
  const values = Object.entries(node.objectives).map(([name, number]) => `${name} ${score(number.value)}`);
  return [`${node.candidate} (${node.origin})`, ...values].join("\n");
}

function linked(box, address) {
  const link = shape("a", { href: address });
  link.append(box);
  return link;
}
