// One candidate: what it is made of, how it scores, whom it beats, and what to do with it.

import { chosen, choose } from "evomerge/address.js";
import { get, path, withQuery } from "evomerge/api.js";
import { Live } from "evomerge/live.js";
import AttemptsCard from "evomerge/parts/attempts_card.js";
import CandidateFacts from "evomerge/parts/candidate_facts.js";
import CandidateLink from "evomerge/parts/candidate_link.js";
import CoefficientsCard from "evomerge/parts/coefficients_card.js";
import ExamplesCard from "evomerge/parts/examples_card.js";
import ExportCard from "evomerge/parts/export_card.js";
import LineageCard from "evomerge/parts/lineage_card.js";
import Problem from "evomerge/parts/problem.js";
import RecipeCard from "evomerge/parts/recipe_card.js";
import RemarkActions from "evomerge/parts/remark_actions.js";
import RemarkMarks from "evomerge/parts/remark_marks.js";
import RouteCard from "evomerge/parts/route_card.js";
import ScoresCard from "evomerge/parts/scores_card.js";
import { originName, startsOf } from "evomerge/origins.js";
import { remarksOf } from "evomerge/remarks.js";

const SPLITS = ["search", "validation", "test"];
const MOST_OTHERS = 4;

export default {
  mixins: [Live],
  components: {
    AttemptsCard,
    CandidateFacts,
    CandidateLink,
    CoefficientsCard,
    ExamplesCard,
    ExportCard,
    LineageCard,
    Problem,
    RecipeCard,
    RemarkActions,
    RemarkMarks,
    RouteCard,
    ScoresCard,
  },
  props: { run: String, candidate: String },
  template: `
    <div class="view">
      <div class="row-line">
        <h2 class="candidate-name">{{ candidate }}<RemarkMarks :remark="remark" /></h2>
        <template v-if="detail">
          <span class="state" :class="'state-' + detail.status">{{ words[detail.status] }}</span>
          <span class="quiet">{{ origin }}<template v-if="detail.ask >= 0">, ask
            {{ detail.ask }}</template></span>
          <span v-if="detail.parents.length" class="quiet">made of
            <template v-for="(name, i) in detail.parents" :key="name">{{ i ? " and " : "" }}<CandidateLink
              :run="run" :candidate="name" /></template></span>
          <span class="space"></span>
          <a v-if="others.length" class="button button-quiet" :href="comparison">Compare side by side</a>
          <a v-if="detail.status === 'done' && !network" class="button button-quiet" :href="talk">Talk to it</a>
        </template>
      </div>
      <Problem :error="error" />
      <q-skeleton v-if="!detail && !error" height="320px" square />
      <template v-if="detail">
        <RemarkActions :run="run" :candidate="candidate" :kind="detail.kind" />
        <p v-if="detail.failure" class="notice notice-bad text-wrap" role="alert">
          It failed ({{ detail.failure.kind }}): {{ detail.failure.message }}</p>
        <p v-if="detail.status === 'pending'" class="notice">It hasn't been scored yet; this page follows the
          run.</p>
        <CandidateFacts :detail="detail" :directions="directions" />
        <div v-if="detail.status === 'done'" class="row-line">
          <span class="either" role="group" aria-label="Split of the scores">
            <button v-for="name in splits" type="button" :aria-pressed="split === name"
              @click="pick({ split: name })">
              {{ name }}</button></span>
          <form class="row-line" @submit.prevent="pick({ against: typed.trim() })">
            <label class="quiet">compare with <input v-model="typed" class="input input-short"
              list="known-candidates"
              :placeholder="others[0] || 'an id'" /></label>
            <datalist id="known-candidates">
              <option v-for="[name, said] in known" :value="name">{{ said }}</option></datalist>
            <button type="submit" class="button button-quiet">Compare</button>
            <button v-if="choice.against" type="button" class="link"
              @click="typed = ''; pick({ against: '' })">
              back to {{ detail.parents.length ? "its parents" : "the sources" }}</button>
          </form>
          <span v-if="split === 'search' && splits.length > 1" class="quiet small">
            Search scores chose it and flatter it.</span>
        </div>
        <ScoresCard v-if="detail.status === 'done'" :run="run" :detail="detail" :split="split"
          :others="others"
:names="names" @examples="showExamples" />
        <div class="grid">
          <CoefficientsCard :detail="detail" />
          <RouteCard v-if="detail.route" :route="detail.route" />
        </div>
        <ExamplesCard v-if="detail.status === 'done' && tasks.length" :run="run" :candidate="candidate"
          :against="choice.against || others[0] || null" :tasks="tasks" :task="task" :split="split"
          :outcome="choice.outcome || 'changed'" @choose="pick" />
        <LineageCard :run="run" :candidate="candidate" />
        <div class="grid">
          <RecipeCard :run="run" :candidate="candidate" />
          <div class="view">
            <ExportCard :run="run" :candidate="candidate" :network="network" />
            <AttemptsCard :detail="detail" />
          </div>
        </div>
      </template>
    </div>`,
  data() {
    const { one } = chosen();
    const choice = {
      against: one("against"),
      task: one("task"),
      split: one("split"),
      outcome: one("outcome"),
    };
    return {
      detail: null,
      overview: null,
      starts: new Map(),
      error: null,
      choice,
      typed: choice.against,
      words: { done: "scored", failed: "failed", pending: "not scored yet" },
    };
  },
  computed: {
    remark() {
      return remarksOf(this.run)[this.candidate];
    },
    directions() {
      return this.overview?.directions ?? {};
    },
    splits() {
      return SPLITS.filter((name) => this.detail.objectives[name]);
    },
    split() {
      return this.splits.includes(this.choice.split) ? this.choice.split : (this.splits[0] ?? "search");
    },
    tasks() {
      return Object.keys(this.overview?.tasks ?? {});
    },
    task() {
      return this.tasks.includes(this.choice.task) ? this.choice.task : this.tasks[0];
    },
    names() {
      return Object.fromEntries(this.known);
    },
    origin() {
      const { kind, origin } = this.detail;
      return kind === "reference" ? `reference ${originName(origin)}` : originName(origin);
    },
    others() {
      if (this.choice.against) return [this.choice.against];
      const parents = [...new Set(this.detail.parents)];
      const found = parents.length ? parents : [...this.starts.keys()];
      return found.filter((name) => name !== this.candidate).slice(0, MOST_OTHERS);
    },
    known() {
      const { best_candidate: best, starred = [] } = this.overview ?? {};
      const found = new Map([...this.starts].map(([name, origin]) => [name, originName(origin)]));
      for (const name of starred) found.set(name, "has a star");
      if (best) found.set(best, "the best");
      for (const name of this.detail.parents) found.set(name, "a parent");
      found.delete(this.candidate);
      return [...found];
    },
    comparison() {
      const candidates = [this.candidate, ...this.others].slice(0, 6);
      return withQuery(`/runs/${encodeURIComponent(this.run)}/compare`, { candidate: candidates });
    },
    /** An evolved network answers no prompts. */
    network() {
      return Boolean(this.overview.config.network);
    },
    talk() {
      return withQuery(`/runs/${encodeURIComponent(this.run)}/talk`, { candidate: this.candidate });
    },
  },
  methods: {
    async load() {
      try {
        const [detail, overview, starts] = await Promise.all([
          get(path("runs", this.run, "candidates", this.candidate)),
          get(path("runs", this.run)),
          startsOf(this.run),
        ]);
        if (String([...starts]) !== String([...this.starts])) this.starts = starts;
        this.overview = overview;
        // Parts draw again only where something has changed.
        if (JSON.stringify(detail) !== JSON.stringify(this.detail)) this.detail = detail;
        this.error = null;
      } catch (error) {
        this.error = error;
      }
    },
    pick(changes) {
      Object.assign(this.choice, changes);
      choose(this.choice);
    },
    async showExamples({ against, task }) {
      this.pick({ against, task, outcome: "changed" });
      this.typed = against;
      await this.$nextTick();
      document.getElementById("examples").scrollIntoView({ block: "start" });
    },
  },
};
