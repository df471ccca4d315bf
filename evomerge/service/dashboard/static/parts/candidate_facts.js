// A candidate's objectives on each split, at a glance.

import { interval } from "evomerge/format.js";

const SPLITS = ["search", "validation", "test"];

export default {
  props: { detail: Object, directions: Object },
  template: `
    <section v-if="names.length" class="card" aria-labelledby="objectives-title">
      <div class="card-title"><h2 id="objectives-title">Objectives</h2>
        <span v-if="detail.feasible === false" class="bad">misses a constraint</span></div>
      <div class="table-wrap" tabindex="0" role="region" aria-label="Table of objectives"><table class="plain narrow">
        <thead><tr><th scope="col">objective</th>
          <th v-for="split in splits" scope="col" class="number">{{ split }}</th></tr></thead>
        <tbody><tr v-for="name in names">
          <td>{{ name }} <span class="quiet">{{ arrows[directions[name]] }}</span></td>
          <td v-for="split in splits" class="number">{{ interval(detail.objectives[split][name]) }}</td>
        </tr></tbody>
      </table></div>
      <p v-for="(failure, split) in others" class="notice notice-bad text-wrap">
        It failed on the {{ split }} split ({{ failure.kind }}): {{ failure.message }}</p>
    </section>`,
  data: () => ({ arrows: { maximize: "↑ higher is better", minimize: "↓ lower is better" } }),
  computed: {
    splits() {
      return SPLITS.filter((split) => this.detail.objectives[split]);
    },
    names() {
      return [...new Set(this.splits.flatMap((split) => Object.keys(this.detail.objectives[split])))];
    },
    others() {
      const { search: _search, ...found } = this.detail.failures;
      return found;
    },
  },
  methods: { interval },
};
