// A run's name, state and progress, the links to its pages, and the stream of its events.

import { follow, get, path } from "evomerge/api.js";
import { count, duration, percent } from "evomerge/format.js";
import Problem from "evomerge/parts/problem.js";

const PAGES = [
  ["Live", ""],
  ["Front", "/front"],
  ["Candidates", "/candidates"],
  ["Niches", "/niches"],
  ["Parameters", "/parameters"],
  ["Workers", "/workers"],
  ["Talk", "/talk"],
];

export default {
  components: { Problem },
  props: { run: String, kinds: Array },
  template: `
    <header class="view" aria-label="Run">
      <Problem :error="error" />
      <div class="row-line" v-if="detail">
        <h1 class="text-wrap">{{ detail.name }}</h1>
        <span class="state" :class="'state-' + detail.state">{{ detail.state }}</span>
        <span class="quiet" v-if="detail.progress">
          {{ count(detail.progress.evaluated) }} of {{ count(detail.progress.budget) }} candidates
          ({{ percent(detail.progress.evaluated / detail.progress.budget) }})
        </span>
        <span class="quiet" v-if="detail.eta_s && detail.state === 'running'">{{ duration(detail.eta_s) }} left</span>
      </div>
      <h1 v-else><q-skeleton type="text" width="220px" /><span class="sr-only">Run</span></h1>
      <nav class="tabs" aria-label="Pages of the run">
        <a v-for="[label, end] in pages" :href="'/runs/' + run + end" :aria-current="current(end)">{{ label }}</a>
      </nav>
    </header>`,
  data: () => ({ detail: null, error: null, pages: PAGES }),
  async mounted() {
    window.addEventListener("evomerge:changed", this.load);
    await this.load();
    this.leave = follow(this.run, this.kinds, () => window.dispatchEvent(new Event("evomerge:changed")));
  },
  unmounted() {
    this.leave?.();
    window.removeEventListener("evomerge:changed", this.load);
  },
  methods: {
    count,
    duration,
    percent,
    async load() {
      try {
        this.detail = await get(path("runs", this.run));
        this.error = null;
        document.title = `${this.detail.name} · evomerge`;
      } catch (error) {
        this.error = error;
      }
    },
    current(end) {
      const here = location.pathname.slice(`/runs/${this.run}`.length);
      const found = end === "" ? here === "" : here === end || here.startsWith(`${end}/`);
      return found ? "page" : null;
    },
  },
};
