// A run's name, state and progress, what may be done about it, the links to its pages, and the
// stream of its events.

import { follow, get, path, withQuery } from "evomerge/api.js";
import { count, duration, percent } from "evomerge/format.js";
import { poll } from "evomerge/poll.js";
import Problem from "evomerge/parts/problem.js";
import RunActions from "evomerge/parts/run_actions.js";

const PAGES = [
  ["Live", ""],
  ["Front", "/front"],
  ["Candidates", "/candidates"],
  ["Niches", "/niches"],
  ["Parameters", "/parameters"],
  ["Workers", "/workers"],
  ["Talk", "/talk"],
];
const CHANGED = "evomerge:changed";
// A process that is killed tells nobody.
const AGAIN_MS = 5000;

export default {
  components: { Problem, RunActions },
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
        <span class="quiet"
          v-if="detail.eta_s && detail.state === 'running'">{{ duration(detail.eta_s) }} left</span>
        <span class="space"></span>
        <RunActions :run="detail" :job="job" @done="load" />
      </div>
      <div v-else-if="job" class="view">
        <div class="row-line">
          <h1 class="text-wrap">{{ job.name }}</h1>
          <span class="state" :class="'state-' + job.state">{{ job.state }}</span>
          <span class="space"></span>
          <RunActions :job="job" @done="load" />
        </div>
        <div class="notice" :class="{ 'notice-bad': job.state === 'failed' }" role="status">
          <div v-if="job.state === 'queued'">It begins when its turn comes.</div>
          <div v-else-if="job.state === 'running'">It is being prepared: models and data are checked.</div>
          <div class="text-wrap">{{ job.message }}</div>
          <ul v-if="job.problems.length">
            <li v-for="item in job.problems" class="text-wrap"><code
              v-if="item.key">{{ item.key }}</code> {{ item.message }}</li>
          </ul>
        </div>
      </div>
      <h1 v-else-if="error">Run</h1>
      <h1 v-else><q-skeleton type="text" width="220px" /><span class="sr-only">Run</span></h1>
      <div v-if="sentence" class="notice" :class="{ 'notice-bad': bad }" role="status">
        <span class="text-wrap">{{ sentence }}</span>
      </div>
      <nav class="tabs" ref="tabs" aria-label="Pages of the run">
        <a v-for="[label, end] in pages" :key="end" :href="'/runs/' + run + end"
          :aria-current="current(end)">{{ label }}</a>
      </nav>
    </header>`,
  data: () => ({ detail: null, job: null, error: null, pages: PAGES }),
  computed: {
    bad() {
      return ["failed", "unreadable", "interrupted"].includes(this.detail.state);
    },
    sentence() {
      const { state, message, reason } = this.detail ?? {};
      if (message) return message;
      if (state && this.job?.message && this.job.state !== "finished") return this.job.message;
      if (state === "interrupted") return "Its process is gone. Resume it: all that was finished is kept.";
      if (state === "stopped") return `It was stopped (${reason || "user"}). Resume it whenever you like.`;
      return state === "failed" ? `It failed: ${reason}.` : "";
    },
  },
  mounted() {
    // On a phone the page's own link may be out of sight.
    this.$refs.tabs.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    window.addEventListener(CHANGED, this.load);
    this.leave = poll(this.load, AGAIN_MS);
  },
  unmounted() {
    this.leave?.();
    this.unfollow?.();
    window.removeEventListener(CHANGED, this.load);
  },
  methods: {
    count,
    duration,
    percent,
    async load() {
      try {
        const before = this.detail;
        const [runs, jobs] = await Promise.all([
          get(withQuery(path("runs"), { run: this.run })),
          get(withQuery(path("jobs"), { run: this.run, kind: "run", limit: 1 })),
        ]);
        [this.detail, this.job] = [runs.items[0] ?? null, jobs.jobs[0] ?? null];
        this.error = this.detail || this.job ? null : { message: `There is no run ${this.run} here.` };
        if (this.detail) {
          document.title = `${this.detail.name} · evomerge`;
          if (this.detail.state !== "unreadable") this.unfollow ??= follow(this.run, this.kinds, tell);
        }
        // Events tell of what is stored; that a process began or ended shows in the state alone.
        const appeared = !before && this.seen;
        this.seen = true;
        if (this.detail && (appeared || (before && before.state !== this.detail.state))) tell();
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

function tell() {
  window.dispatchEvent(new Event(CHANGED));
}
