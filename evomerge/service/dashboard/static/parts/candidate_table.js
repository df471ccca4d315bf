// Candidates as rows: state, scores with intervals, origin, cost.

import { duration, interval, score, when } from "evomerge/format.js";
import CandidateLink from "evomerge/parts/candidate_link.js";
import { MOST } from "evomerge/parts/pinned_bar.js";

export default {
  components: { CandidateLink },
  props: { run: String, items: Array, objectives: Array, sort: String, pinned: Array, split: String },
  emits: ["sort", "pin"],
  template: `
    <div class="table-wrap"><table class="plain candidates">
      <thead><tr>
        <th class="pick-cell" scope="col"><span class="sr-only">Pick for a comparison</span></th>
        <th v-for="column in columns" :key="column.key" scope="col" :class="column.look"
          :aria-sort="sorted(column.by)">
          <button v-if="column.by" class="link" type="button" @click="turn(column)">{{ column.word }}
            <span aria-hidden="true">{{ arrow(column.by) }}</span></button>
          <template v-else>{{ column.word }}</template>
        </th>
      </tr></thead>
      <tbody><tr v-for="item in items" :key="item.candidate">
        <td class="pick-cell"><input
          type="checkbox" :aria-label="'Pick ' + item.candidate + ' for a comparison'" :checked="pinned.includes(item.candidate)" :disabled="full(item.candidate)"
          @change="$emit('pin', item.candidate)"></td>
        <td><CandidateLink :run="run" :candidate="item.candidate" :query="split ? { split } : {}" /></td>
        <td>
          <span class="state" :class="'state-' + item.status">{{ item.status }}</span>
          <div v-if="item.failure" class="small bad failure">
            {{ item.failure.kind }}: {{ item.failure.message }}</div>
          <div v-if="item.feasible === false" class="small quiet">misses a constraint</div>
        </td>
        <td v-for="axis in objectives" :key="axis.name" class="number"
          :title="interval(item.objectives[axis.name])">
          {{ value(item, axis) }}<span v-if="known(item, axis)" class="quiet small ends">
          {{ ends(item.objectives[axis.name]) }}</span></td>
        <td class="hide-narrow">{{ item.origin }}</td>
        <td class="hide-narrow"><span v-if="!item.parents.length" class="quiet">–</span>
          <template v-for="(parent, i) in item.parents" :key="parent">{{ i ? ", " : "" }}<CandidateLink
            :run="run" :candidate="parent" /></template></td>
        <td class="number hide-narrow">{{ item.device_s ? duration(item.device_s) : "–" }}</td>
        <td class="number hide-narrow">{{ when(item.finished_s) }}</td>
      </tr></tbody>
    </table></div>`,
  computed: {
    columns() {
      const plain = (key, word, by, look = "") => ({ key, word, by, look });
      return [
        plain("candidate", "Candidate", "asked"),
        plain("state", "State"),
        ...this.objectives.map(({ name, direction }) => ({
          key: `objective ${name}`,
          word: name,
          by: name,
          look: "number",
          best: direction === "maximize" ? `-${name}` : name,
        })),
        plain("origin", "Origin", "", "hide-narrow"),
        plain("parents", "Parents", "", "hide-narrow"),
        plain("cost", "Devices", "device_s", "number hide-narrow"),
        plain("finished", "Finished", "finished", "number hide-narrow"),
      ];
    },
  },
  methods: {
    duration,
    interval,
    when,
    known(item, { name }) {
      return Number.isFinite(item.objectives[name]?.value) && Number.isFinite(item.objectives[name]?.low);
    },
    value(item, { name }) {
      return score(item.objectives[name]?.value);
    },
    ends({ low, high }) {
      return `[${score(low)}, ${score(high)}]`;
    },
    full(candidate) {
      return this.pinned.length >= MOST && !this.pinned.includes(candidate);
    },
    sorted(by) {
      const now = this.sort || "asked";
      if (now === by) return "ascending";
      return now === `-${by}` ? "descending" : null;
    },
    arrow(by) {
      return { ascending: "↑", descending: "↓" }[this.sorted(by)] ?? "";
    },
    /** Sort by a column, the best or latest first; a second time the other way round. */
    turn({ by, best }) {
      const first = best ?? (by === "asked" ? by : `-${by}`);
      const second = first.startsWith("-") ? first.slice(1) : `-${first}`;
      const wanted = (this.sort || "asked") === first ? second : first;
      this.$emit("sort", wanted === "asked" ? "" : wanted);
    },
  },
};
