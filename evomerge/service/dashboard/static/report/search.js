// How the search went: its front, its course, and why candidates failed.

import { drawBest, drawHypervolume } from "evomerge/charts/curves.js";
import { drawFront } from "evomerge/charts/front.js";
import { listed, nameOf } from "evomerge/charts/front_points.js";
import { count, interval, plural } from "evomerge/format.js";
import { card, el, folded, right, table } from "evomerge/report/dom.js";

const MOST_ROWS = 50;
const SPLITS = {
  validation: ["Front of the finalists", "re-scored on the validation split, where the best is chosen"],
  search: ["All candidates", "on the search split, which the search itself looks at"],
};

/** Show the front on each split that has scores. */
export function front({ fronts }) {
  const shown = fronts.filter((picture) => picture.front.candidates.length);
  const places = shown.map(() => el("div", { class: "chart" }));
  const cards = shown.map((picture, i) => {
    const [title, quiet] = SPLITS[picture.split];
    return card(title, quiet, places[i], el("p", { class: "quiet" }, told(picture)), members(picture));
  });
  return {
    element: cards.length ? el("div", { class: "view" }, cards) : null,
    draw: () => Promise.all(
      shown.map((picture, i) => drawFront(places[i], picture, { chosen: picture.best })),
    ),
  };
}

function told({ counts }) {
  const parts = [`${count(counts.front)} on the front`, `${plural(counts.others, "other candidate")}`];
  if (counts.front_shown < counts.front) parts[0] += ` (${count(counts.front_shown)} drawn)`;
  if (counts.others_shown < counts.others) parts[1] += ` (a sample of ${count(counts.others_shown)} drawn)`;
  if (counts.failed) parts.push(`${count(counts.failed)} failed`);
  return `${parts.join(", ")}.`;
}

function members(picture) {
  const names = picture.objectives.map(({ name }) => name);
  const points = listed(picture, ["front"]);
  const rows = points.slice(0, MOST_ROWS).map((point) => [
    el("code", {}, point.candidate),
    nameOf(point.origin),
    point.marks.join(", "),
    ...names.map((name) => right(interval(point.numbers[name]))),
  ]);
  const left = points.length - rows.length;
  return folded(plural(points.length, "member"),
    table(["candidate", "from", "", ...names.map((name) => right(name))], rows),
    left ? el("p", { class: "quiet" }, `and ${count(left)} more.`) : null);
}

/** Show the best so far of each objective, and the hypervolume. */
export function course({ run, metrics }) {
  const { settled } = metrics;
  const end = { evaluated: settled.evaluated.at(-1) ?? 0, at_s: settled.at_s.at(-1) ?? 0 };
  const series = (curve) => [{ name: run.name, curve, end, started_s: run.started_s }];
  const charts = Object.entries(metrics.best)
    .filter(([, curve]) => curve.value.length)
    .map(([objective, curve]) => ({
      title: `Best ${objective} so far`,
      draw: (place) => drawBest(place, series(curve), { objective, direction: run.directions[objective] }),
    }));
  if (metrics.hypervolume?.value.length) {
    const draw = (place) => drawHypervolume(place, series(metrics.hypervolume));
    charts.push({ title: "Hypervolume", draw });
  }
  const places = charts.map(() => el("div", { class: "chart chart-small" }));
  const cards = charts.map(({ title }, i) => card(title, "on the search split", places[i]));
  return {
    element: cards.length ? el("div", { class: "grid" }, cards) : null,
    draw: () => Promise.all(charts.map(({ draw }, i) => draw(places[i]))),
  };
}

/** Show why candidates failed. */
export function failures({ metrics }) {
  const rows = metrics.failures.map(({ kind, message, candidates }) => [
    kind,
    { text: message, class: "text-wrap" },
    right(count(candidates)),
  ]);
  const found = table(["kind", "reason", right("candidates")], rows);
  return { element: rows.length ? card("Failures", "the most frequent on the search split", found) : null };
}
