// A candidate's scores by task, and how it differs from others on the same examples.

import { get, path, withQuery } from "evomerge/api.js";
import { count, interval, score, signed } from "evomerge/format.js";
import CandidateLink from "evomerge/parts/candidate_link.js";
import IntervalBar, { rangeOf } from "evomerge/parts/interval_bar.js";
import Problem from "evomerge/parts/problem.js";

/** Say in a word if a difference is one: better, worse, or neither for sure. */
export function verdict({ difference, direction }) {
  if (!difference || difference.value === null) return "not compared";
  const { low, high } = difference;
  if (low > 0) return direction === "maximize" ? "better" : "worse";
  if (high < 0) return direction === "maximize" ? "worse" : "better";
  return "no clear difference";
}

const SIGNS = { better: "▲", worse: "▼", "no clear difference": "≈", "not compared": "–" };

export default {
  components: { CandidateLink, IntervalBar, Problem },
  props: {
    run: String,
    detail: Object,
    split: String,
    /** Candidates to compare with. */
    others: Array,
    /** Candidate → what it is, in words. */
    names: { type: Object, default: () => ({}) },
  },
  emits: ["examples"],
  template: `
    <section class="card" aria-labelledby="scores-title">
      <div class="card-title"><h2 id="scores-title">Scores by task</h2>
        <span class="quiet">{{ split }} split, mean with 95 % interval</span></div>
      <p v-if="!tasks.length" class="empty">Not scored on the {{ split }} split.</p>
      <div v-else class="table-wrap" tabindex="0" role="region" aria-label="Table of scores by task">
      <table class="plain">
        <thead><tr>
          <th scope="col">task</th><th scope="col">metric</th><th scope="col" class="number">score</th>
          <th scope="col"><span class="sr-only">interval</span></th>
        </tr></thead>
        <tbody>
          <tr v-for="row in tasks" :key="row.task + row.metric">
            <td>{{ row.task }}</td><td class="quiet">{{ row.metric }}</td>
            <td class="number">{{ interval(row.number) }}</td>
            <td class="bar-cell"><IntervalBar :number="row.number" :range="row.range" /></td>
          </tr>
        </tbody>
      </table></div>
      <Problem :error="error" />
      <div v-if="comparable.length" class="table-wrap" tabindex="0" role="region"
        aria-label="Differences to others">
      <table class="plain">
        <thead><tr>
          <th scope="col">task</th><th scope="col" class="number">difference</th>
          <th scope="col"><span class="sr-only">interval</span></th>
          <th scope="col"><span class="sr-only">in words</span></th>
          <th scope="col" class="number">won</th><th scope="col" class="number">lost</th>
          <th scope="col"><span class="sr-only">examples</span></th>
        </tr></thead>
        <tbody v-for="item in comparable" :key="item.against">
          <tr><th colspan="7" scope="rowgroup" class="against">against <CandidateLink :run="run"
            :candidate="item.against" />
            {{ " " }}<span class="quiet">{{ names[item.against] }}</span></th></tr>
          <tr v-for="task in item.tasks" :key="task.task">
            <td>{{ task.task }}</td>
            <td class="number">{{ signedInterval(task.difference) }}</td>
            <td class="bar-cell"><IntervalBar :number="task.difference" :range="range" zero /></td>
            <td class="verdict" :class="'verdict-' + verdict(task)">
              <span aria-hidden="true">{{ signs[verdict(task)] }}</span> {{ verdict(task) }}</td>
            <td class="number">{{ count(task.won) }}</td><td class="number">{{ count(task.lost) }}</td>
            <td><button type="button" class="link"
              :aria-label="'Examples of ' + task.task + ' against ' + item.against"
              @click="$emit('examples', { against: item.against, task: task.task })">examples</button></td>
          </tr>
        </tbody>
      </table></div>
      <p v-if="tasks.length && apart.length" class="quiet">Not compared: {{ apart.join(", ") }}
        {{ apart.length === 1 ? "wasn't" : "weren't" }} scored on these examples of the {{ split }} split.</p>
    </section>`,
  data: () => ({ differences: [], error: null, signs: SIGNS }),
  computed: {
    tasks() {
      const found = Object.entries(this.detail.tasks[this.split] ?? {}).flatMap(([task, metrics]) =>
        Object.entries(metrics).map(([metric, number]) => ({ task, metric, number })),
      );
      const range = (metric) =>
        rangeOf(found.filter((row) => row.metric === metric).map((row) => row.number));
      return found.map((row) => ({ ...row, range: range(row.metric) }));
    },
    comparable() {
      return this.differences.filter((item) => item.tasks.some((task) => task.difference));
    },
    apart() {
      return this.differences.filter((item) => !this.comparable.includes(item)).map((item) => item.against);
    },
    range() {
      return rangeOf(
        this.differences.flatMap((item) => item.tasks.map((task) => task.difference)),
        { zero: true },
      );
    },
    asked() {
      return JSON.stringify([this.detail.candidate, this.split, this.others, this.detail.status]);
    },
  },
  watch: { asked: { handler: "load", immediate: true } },
  methods: {
    count,
    interval,
    verdict,
    async load() {
      const asked = this.asked;
      this.error = null;
      if (!this.others.length) {
        this.differences = [];
        return;
      }
      const address = path("runs", this.run, "candidates", this.detail.candidate, "differences");
      try {
        const found = await get(withQuery(address, { against: this.others, split: this.split }));
        if (asked === this.asked) this.differences = found.items;
      } catch (error) {
        if (asked === this.asked) {
          this.differences = [];
          this.error = error;
        }
      }
    },
    signedInterval(number) {
      if (!number || number.value === null) return signed(null);
      return `${signed(number.value)} [${score(number.low)}, ${score(number.high)}]`;
    },
  },
};
