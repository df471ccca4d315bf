// A candidate in short, beside the chart in which it was chosen.

import { get, path } from "evomerge/api.js";
import { duration, interval, signed } from "evomerge/format.js";
import CandidateLink, { candidatePage } from "evomerge/parts/candidate_link.js";
import Problem from "evomerge/parts/problem.js";

export default {
  components: { CandidateLink, Problem },
  props: { run: String, candidate: String, split: String, pinned: Boolean },
  emits: ["pin", "close", "choose", "parents"],
  template: `
    <section class="card" aria-labelledby="summary-title">
      <div class="card-title">
        <h3 id="summary-title"><CandidateLink :run="run" :candidate="candidate" /></h3>
        <span v-if="detail" class="quiet">{{ detail.origin }}</span>
        <span class="space"></span>
        <button class="link" type="button" aria-label="Close the summary" @click="$emit('close')">✕</button>
      </div>
      <Problem :error="error" />
      <q-skeleton v-if="!detail && !error" height="120px" square />
      <template v-if="detail">
        <p v-if="detail.failure" class="notice notice-bad">
          Failed ({{ detail.failure.kind }}): {{ detail.failure.message }}</p>
        <div class="table-wrap"><table class="plain">
          <thead><tr>
            <th scope="col">Objective</th>
            <th class="number" scope="col">{{ split }}, 95 %</th>
            <th v-for="parent in parents" :key="parent.candidate" class="number" scope="col">
              − <button class="link mono" type="button" :aria-label="'Choose the parent ' + parent.candidate"
                @click="$emit('choose', parent.candidate)">{{ parent.candidate }}</button></th>
          </tr></thead>
          <tbody><tr v-for="name in names" :key="name">
            <td>{{ name }}</td>
            <td class="number">{{ interval(scores[name]) }}</td>
            <td v-for="parent in parents" :key="parent.candidate" class="number">
              {{ difference(parent, name) }}</td>
          </tr></tbody>
        </table></div>
        <p class="quiet small">{{ facts }}</p>
        <div class="row-line">
          <a class="button button-first" :href="page">Open the candidate</a>
          <button class="button" type="button" :aria-pressed="pinned" @click="$emit('pin')">
            {{ pinned ? "✓ Picked" : "Pick to compare" }}</button>
        </div>
      </template>
    </section>`,
  data: () => ({ detail: null, parents: [], error: null }),
  computed: {
    page() {
      return candidatePage(this.run, this.candidate);
    },
    scores() {
      return this.detail.objectives[this.split] ?? {};
    },
    names() {
      return Object.keys(this.scores);
    },
    facts() {
      const { ask, device_s: taken, feasible, n_children: children } = this.detail;
      const said = [];
      if (ask >= 0) said.push(`ask ${ask}`);
      if (!this.names.length) said.push(`not scored on the ${this.split} split`);
      if (feasible === false) said.push("misses a constraint");
      if (taken) said.push(`${duration(taken)} of devices`);
      if (children) said.push(children === 1 ? "1 child" : `${children} children`);
      return said.join(" · ");
    },
  },
  async mounted() {
    try {
      this.detail = await this.fetch(this.candidate);
      this.parents = await Promise.all(this.detail.parents.slice(0, 2).map(this.fetch));
      this.$emit("parents", this.parents);
    } catch (error) {
      this.error = error;
    }
  },
  methods: {
    duration,
    interval,
    fetch(candidate) {
      return get(path("runs", this.run, "candidates", candidate));
    },
    difference(parent, name) {
      const [own, other] = [this.scores[name], parent.objectives[this.split]?.[name]];
      return signed(own?.value !== null && other && other.value !== null ? own.value - other.value : null);
    },
  },
};
