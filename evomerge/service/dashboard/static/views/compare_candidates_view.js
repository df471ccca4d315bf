// Up to six candidates side by side: scores, genes, coefficients, routes.

import { chosen, choose } from "evomerge/address.js";
import { get, path } from "evomerge/api.js";
import { duration } from "evomerge/format.js";
import { Live } from "evomerge/live.js";
import { originName, startsOf } from "evomerge/origins.js";
import CandidateLink from "evomerge/parts/candidate_link.js";
import CompareCoefficients from "evomerge/parts/compare_coefficients.js";
import CompareGenes from "evomerge/parts/compare_genes.js";
import CompareScores from "evomerge/parts/compare_scores.js";
import Problem from "evomerge/parts/problem.js";
import RouteCard from "evomerge/parts/route_card.js";

const MOST = 6;
const SPLITS = ["search", "validation", "test"];

export default {
  mixins: [Live],
  components: { CandidateLink, CompareCoefficients, CompareGenes, CompareScores, Problem, RouteCard },
  props: { run: String },
  template: `
    <div class="view">
      <div class="row-line">
        <h2>Compare candidates</h2>
        <span v-if="splits.length" class="either" role="group" aria-label="Split of the scores">
          <button v-for="name in splits" type="button" :aria-pressed="split === name"
            @click="pick({ split: name })">
            {{ name }}</button></span>
        <span class="space"></span>
        <form v-if="names.length < most" class="row-line" @submit.prevent="add">
          <label class="quiet">add <input v-model="typed" class="input input-short" list="known-candidates"
            placeholder="an id" /></label>
          <datalist id="known-candidates"><option v-for="[name, said] in known"
            :value="name">{{ said }}</option></datalist>
          <button type="submit" class="button button-quiet" :disabled="!typed.trim()">Add</button>
        </form>
        <span v-else class="quiet">Six are the most.</span>
      </div>
      <Problem :error="error" />
      <ol v-if="names.length" class="compared-list">
        <li v-for="(name, i) in names" :key="name" class="card">
          <div class="row-line">
            <span class="quiet">{{ i + 1 }}</span> <strong><CandidateLink :run="run" :candidate="name"
              /></strong>
            <span class="space"></span>
            <button v-if="i" type="button" class="link" :aria-label="'Compare with ' + name + ' first'"
              @click="first(name)">first</button>
            <button type="button" class="link" :aria-label="'Leave out ' + name"
              @click="leave(name)">✕</button>
          </div>
          <div v-if="byName[name]" class="quiet">{{ facts(byName[name]) }}</div>
          <div v-if="byName[name]?.failure" class="bad text-wrap">Failed:
            {{ byName[name].failure.message }}</div>
        </li>
      </ol>
      <p v-if="!names.length" class="card empty">Nothing to compare yet. Add candidates by their ids, or pick
        some on the
        <a :href="'/runs/' + run + '/front'">front</a> or in the <a
          :href="'/runs/' + run + '/candidates'">list</a>.</p>
      <p v-else-if="names.length === 1" class="quiet">Add another one to see what sets them apart.</p>
      <q-skeleton v-if="names.length && !details.length && !error" height="240px" square />
      <template v-if="details.length">
        <CompareScores :run="run" :details="details" :split="split" :directions="directions" />
        <CompareCoefficients :details="details" :differences="differences"
          @choose="pick({ minus: $event ? 'first' : '' })" />
        <div v-if="routes.length" class="grid">
          <RouteCard v-for="item in routes" :key="item.candidate" :route="item.route"
            :title="'Route of ' + item.candidate" />
        </div>
        <CompareGenes :details="details" />
      </template>
    </div>`,
  data() {
    const { one, all } = chosen();
    return {
      names: [...new Set(all("candidate"))].slice(0, MOST),
      choice: { split: one("split"), minus: one("minus") },
      byName: {},
      overview: null,
      starts: new Map(),
      typed: "",
      error: null,
      most: MOST,
    };
  },
  computed: {
    details() {
      const found = this.names.map((name) => this.byName[name]);
      return found.every(Boolean) ? found : [];
    },
    splits() {
      return SPLITS.filter((split) => this.details.some((item) => item.objectives[split]));
    },
    split() {
      if (this.splits.includes(this.choice.split)) return this.choice.split;
      const common = this.splits.filter((split) => this.details.every((item) => item.objectives[split]));
      return common.includes("validation") ? "validation" : (common[0] ?? "search");
    },
    differences() {
      return this.choice.minus === "first";
    },
    directions() {
      return this.overview?.directions ?? {};
    },
    routes() {
      return this.details.filter((item) => item.route);
    },
    known() {
      const { best_candidate: best, starred = [] } = this.overview ?? {};
      const found = new Map([...this.starts].map(([name, origin]) => [name, originName(origin)]));
      for (const name of starred) found.set(name, "has a star");
      if (best) found.set(best, "the best");
      return [...found].filter(([name]) => !this.names.includes(name));
    },
  },
  methods: {
    async load() {
      try {
        [this.overview, this.starts] = await Promise.all([get(path("runs", this.run)), startsOf(this.run)]);
        const details = await Promise.all(this.names.map((name) => this.fetch(name)));
        const found = Object.fromEntries(details.map((item) => [item.candidate, item]));
        if (JSON.stringify(found) !== JSON.stringify(this.byName)) this.byName = found;
        this.error = null;
      } catch (error) {
        this.error = error;
      }
    },
    fetch(name) {
      return get(path("runs", this.run, "candidates", name));
    },
    facts(item) {
      const said = [originName(item.origin), `${duration(item.device_s)} of devices`];
      if (item.parents.length) said.splice(1, 0, `made of ${item.parents.join(" and ")}`);
      if (item.status === "pending") said.push("not scored yet");
      return said.join(" · ");
    },
    pick(changes) {
      Object.assign(this.choice, changes);
      this.keep();
    },
    keep() {
      choose({ candidate: this.names, ...this.choice });
    },
    async add() {
      const name = this.typed.trim();
      this.error = null;
      try {
        this.byName[name] = await this.fetch(name);
        if (!this.names.includes(name)) this.names.push(name);
        this.typed = "";
        this.keep();
      } catch (error) {
        this.error = error;
      }
    },
    first(name) {
      this.names = [name, ...this.names.filter((other) => other !== name)];
      this.keep();
    },
    leave(name) {
      this.names = this.names.filter((other) => other !== name);
      this.keep();
      // The one that is left out may be what couldn't be found.
      if (this.error) this.load();
    },
  },
};
