// The models: how the best one is made, who lives in the archive, and the texts to make them again.

import { drawArchiveCourse } from "evomerge/charts/archive_course.js";
import { drawCells } from "evomerge/charts/cells.js";
import { drawCoefficients, flatRows, isFlat } from "evomerge/charts/coefficients.js";
import { drawNicheMap } from "evomerge/charts/niche_map.js";
import { drawRoute } from "evomerge/charts/route.js";
import { compact, count, score } from "evomerge/format.js";
import { card, el, folded, right, table } from "evomerge/report/dom.js";

const NO_NUMBERS = "Its recipe has no numbers by source; it stands below.";
const AGAIN = "'evomerge merge RECIPE --out DIR' makes these weights again, bit for bit, from equal sources.";

/** Show coefficients and route of the best model. */
export function bestModel({ best }) {
  const maps = best.coefficients.filter((item) => !isFlat(item));
  const places = maps.map(() => el("div"));
  const flat = best.coefficients.filter((item) => isFlat(item)).flatMap((item) => (
    flatRows(item).map(([input, value]) => [item.stage, item.option, input, right(compact(value))])
  ));
  const way = best.route ? el("div", { class: "table-wrap" }) : null;
  const origin = best.parents.length ? `${best.origin}, from ${best.parents.join(" and ")}` : best.origin;
  const element = card(`How the best model is made: ${best.candidate}`, origin,
    maps.map((item, i) => [el("h3", {}, titleOf(item, best)), places[i]]).flat(),
    flat.length ? table(["stage", "the same everywhere", "source", right("number")], flat) : null,
    way ? [el("h3", {}, best.route.title), way, el("p", { class: "quiet" }, best.route.sentence)] : null,
    maps.length || flat.length || way ? null : el("p", { class: "quiet" }, NO_NUMBERS),
  );
  return {
    element,
    async draw() {
      for (const [i, item] of maps.entries()) await drawCoefficients(places[i], item);
      if (way) drawRoute(way, best.route);
    },
  };
}

function titleOf(item, { coefficients }) {
  const stages = new Set(coefficients.map(({ stage }) => stage));
  return `${stages.size > 1 ? `${item.stage}: ` : ""}${item.option} of ${item.method}`;
}

/** Show the archive, where the search keeps one. */
export function niches({ niches: found }) {
  if (found.kind === "examples" && found.examples.members.length) return byExamples(found.examples);
  if (found.kind === "cells" && found.cells.length) return byCells(found.cells);
  return { element: null };
}

function byExamples(archive) {
  const map = el("div");
  const line = el("div", { class: "chart chart-small" });
  const members = archive.members.slice(0, 50).map((member) => [
    el("code", {}, member.candidate),
    member.parents.join(", "),
    right(score(member.mean)),
    right(count(member.wins)),
    right(count(member.alone.length)),
  ]);
  const columns = ["member", "parents", right("mean"), right("best on"), right("alone best on")];
  const said = `${count(archive.members.length)} members; together ${score(archive.coverage)}`;
  const moments = archive.course;
  const results = moments.map((moment) => moment.result);
  return {
    element: card("Who covers what", said, map, el("h3", {}, "Coverage over the search"), line,
      folded("The fittest members", table(columns, members))),
    async draw() {
      await drawNicheMap(map, archive);
      await drawArchiveCourse(line, [
        { name: "covered together", results, values: moments.map((moment) => moment.coverage) },
        { name: "best single member", results, values: moments.map((moment) => moment.best) },
      ], { title: "mean score" });
    },
  };
}

function byCells(archives) {
  const places = archives.map(() => el("div", { class: "chart" }));
  const cards = archives.map((archive, i) => {
    const said = `${count(archive.occupants.length)} of ${count(archive.n_cells)} cells`;
    return card(`The best of each kind, by ${archive.quality}`, said, places[i]);
  });
  return {
    element: el("div", { class: "view" }, cards),
    draw: () => Promise.all(archives.map((archive, i) => (
      drawCells(places[i], archive, { axes: archive.axes.slice(0, 2).map((_, number) => number) })
    ))),
  };
}

/** Show the recipe and the run file as text. */
export function recipes({ texts }) {
  const block = (title, note, text) => (
    folded(title, el("p", { class: "quiet" }, note), el("pre", { tabindex: "0" }, text))
  );
  return {
    element: card("To make it again", null,
      block("Recipe of the best model", AGAIN, texts.recipe),
      block("Run file", "with all defaults; 'evomerge run FILE' searches again.", texts.config),
    ),
  };
}
