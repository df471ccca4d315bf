// The top of a report: what the run is, and how its best model does where the search never looked.

import { count, day, duration, interval, plural, score, signed } from "evomerge/format.js";
import { card, el, figures, right, table } from "evomerge/report/dom.js";

/** Return the head: name, figures, and the buttons that paper doesn't need. */
export function heading({ run, made_s, version }, switchTheme) {
  const button = (text, act) => {
    const found = el("button", { class: "report-button", type: "button" }, text);
    found.addEventListener("click", act);
    return found;
  };
  const { progress } = run;
  return el("header", { class: "view" },
    el("div", { class: "row-line" },
      el("h1", { class: "text-wrap" }, run.name),
      el("span", { class: `state state-${run.state}` }, run.state),
      el("span", { class: "space" }),
      button("Light or dark", switchTheme),
      button("Print", () => print()),
    ),
    el("p", { class: "quiet" }, `Report of evomerge ${version}, ${day(made_s)}.`,
      ` Run ${run.run_id}, begun ${day(run.started_s)}.`),
    el("section", { class: "card" }, figures([
      ["candidates", count(progress?.evaluated)],
      ["failed", count(progress?.failed)],
      ["budget", count(progress?.budget)],
      ["best", run.best_candidate ?? "–"],
      ["objectives", count(Object.keys(run.directions).length)],
      ["device time", duration(run.device_s)],
      ...(run.cost === null ? [] : [["cost", score(run.cost)]]),
    ])),
  );
}

/** Show base, sources, uniform average and the best found on the test split. */
export function testScores({ test }) {
  const tasks = Object.entries(test.metrics);
  const goals = Object.entries(test.directions);
  const columns = [
    "model",
    ...tasks.map(([task, metric]) => right(`${task} (${metric})`)),
    ...goals.map(([name, way]) => right(`${name} (${way})`)),
  ];
  const rows = test.models.map((model) => {
    if (model.failure !== null) {
      return [model.label, `failed: ${model.failure}`, ...Array(columns.length - 2).fill("")];
    }
    return [
      model.label,
      ...tasks.map(([task]) => right(interval(model.tasks[task]))),
      ...goals.map(([name]) => right(interval(model.objectives[name]))),
    ];
  });
  const labels = new Map(test.models.map((model) => [model.candidate, model.label]));
  const said = [
    ...test.same.map((name) => `The best found is the same model as ${labels.get(name)}.`),
    ...test.differences.map((item) => {
      const pair = `best found (${item.candidate}) minus the best other (${labels.get(item.other)})`;
      const range = `${signed(item.value)} [${signed(item.low)}, ${signed(item.high)}]`;
      return `${item.objective}: ${pair}: ${range}.`;
    }),
  ];
  const times = test.openings === 1 ? "opened once" : `opened ${plural(test.openings, "time")}`;
  const element = card("On the test split", `which the search never saw, ${times}; with 95 % intervals`,
    table(columns, rows, { marked: rows.length - 1 }),
    said.map((text) => el("p", { class: "said" }, text)),
  );
  return { element };
}
