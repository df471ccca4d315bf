// Scores of several candidates side by side, with paired differences to the first of them.

import { get, path, withQuery } from "evomerge/api.js";
import { interval, score, signed } from "evomerge/format.js";
import IntervalBar, { rangeOf } from "evomerge/parts/interval_bar.js";
import Problem from "evomerge/parts/problem.js";
import { verdict } from "evomerge/parts/scores_card.js";

const SIGNS = { better: "▲", worse: "▼", "no clear difference": "≈", "not compared": "" };

export default {
  components: { IntervalBar, Problem },
  props: { run: String, details: Array, split: String, directions: Object },
  template: `
    <section class="card" aria-labelledby="compared-title">
      <div class="card-title"><h2 id="compared-title">Scores</h2>
        <span class="quiet">{{ split }} split, 95 % intervals; differences to {{ first.candidate }} are
          paired</span></div>
      <Problem :error="error" />
      <div class="table-wrap" tabindex="0" role="region" aria-label="Scores side by side">
      <table class="plain compared">
        <thead><tr><th scope="col">objective or task</th>
          <th v-for="(item, i) in details" scope="col">{{ i + 1 }}: {{ item.candidate }}</th></tr></thead>
        <tbody>
          <tr v-for="name in objectives" :key="'o ' + name">
            <th scope="row">{{ name }} <span
              class="quiet">{{ directions[name] === "minimize" ? "↓" : "↑" }}</span></th>
            <td v-for="item in details">{{ interval(of(item.objectives, name)) }}
              <div v-if="item !== first" class="quiet">{{ simple(item, name) }}</div></td>
          </tr>
          <tr v-for="row in tasks" :key="'t ' + row.task">
            <th scope="row">{{ row.task }} <span class="quiet">{{ row.metric }}</span></th>
            <td v-for="item in details">{{ interval((item.tasks[split] || {})[row.task]?.[row.metric]) }}
              <template v-if="compared(item, row)">
                <IntervalBar :number="compared(item, row).difference" :range="range" zero />
                <div class="verdict" :class="'verdict-' + verdict(compared(item, row))">
                  <span aria-hidden="true">{{ signs[verdict(compared(item, row))] }}</span>
                  {{ said(compared(item, row)) }}</div>
                <div class="quiet">{{ counts(compared(item, row)) }}</div>
              </template></td>
          </tr>
        </tbody>
      </table></div>
    </section>`,
  data: () => ({ found: {}, error: null, signs: SIGNS }),
  computed: {
    first() {
      return this.details[0];
    },
    objectives() {
      return [...new Set(this.details.flatMap((item) => Object.keys(item.objectives[this.split] ?? {})))];
    },
    tasks() {
      const all = this.details.flatMap((item) =>
        Object.entries(item.tasks[this.split] ?? {}).flatMap(([task, metrics]) =>
          Object.keys(metrics).map((metric) => [`${task} ${metric}`, { task, metric }]),
        ),
      );
      return [...new Map(all).values()];
    },
    range() {
      const all = Object.values(this.found).flatMap((tasks) =>
        Object.values(tasks).map((task) => task.difference),
      );
      return rangeOf(all, { zero: true });
    },
    asked() {
      return JSON.stringify([this.details.map((item) => [item.candidate, item.status]), this.split]);
    },
  },
  watch: { asked: { handler: "load", immediate: true } },
  methods: {
    interval,
    verdict,
    of(splits, name) {
      return splits[this.split]?.[name];
    },
    simple(item, name) {
      const [own, base] = [this.of(item.objectives, name), this.of(this.first.objectives, name)];
      const known = own && base && own.value !== null && base.value !== null;
      return known ? signed(own.value - base.value) : "";
    },
    /** Only the task's main metric is compared example by example. */
    compared(item, { task, metric }) {
      const found = this.found[item.candidate]?.[task];
      return found?.metric === metric ? found : null;
    },
    said(task) {
      const { value, low, high } = task.difference ?? {};
      return task.difference ? `${signed(value)} [${score(low)}, ${score(high)}]` : verdict(task);
    },
    counts(task) {
      return task.won === null ? "" : `${task.won} won, ${task.lost} lost`;
    },
    async load() {
      const asked = this.asked;
      const [first, ...others] = this.details.map((item) => item.candidate);
      try {
        const answers = await Promise.all(
          others.map((name) => {
            const address = path("runs", this.run, "candidates", name, "differences");
            return get(withQuery(address, { against: first, split: this.split }));
          }),
        );
        if (asked !== this.asked) return;
        this.found = Object.fromEntries(
          answers.map((answer) => [
            answer.candidate,
            Object.fromEntries(answer.items[0].tasks.map((task) => [task.task, task])),
          ]),
        );
        this.error = null;
      } catch (error) {
        if (asked === this.asked) this.error = error;
      }
    },
  },
};
