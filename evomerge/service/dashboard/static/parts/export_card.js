// Exports a candidate: starts the job, follows it, and offers its file.

import { get, mayOperate, path, send } from "evomerge/api.js";
import { bytes } from "evomerge/format.js";
import Problem from "evomerge/parts/problem.js";

const FORMATS = [
  ["hf", "a checkpoint for transformers (.tar)"],
  ["recipe", "its recipe (.yaml)"],
  ["mergekit", "a mergekit file (.yaml)"],
];
const ENDED = ["finished", "failed", "cancelled"];
const AGAIN_MS = 1500;

export default {
  components: { Problem },
  props: { run: String, candidate: String, network: Boolean },
  template: `
    <section class="card" aria-labelledby="export-title">
      <div class="card-title"><h2 id="export-title">Export</h2></div>
      <div class="row-line">
        <label class="quiet">as <select v-model="format" class="select" aria-label="What is exported">
          <option v-for="[name, label] in formats" :value="name">{{ label }}</option></select></label>
        <button type="button" class="button" :disabled="!operator || busy" @click="start">Export</button>
        <span v-if="operator === false" class="quiet small">
          Your token only lets you look. An operator's may export.</span>
      </div>
      <Problem :error="error" />
      <ul v-if="jobs.length" class="export-jobs" aria-live="polite">
        <li v-for="job in jobs" :key="job.job_id" class="row-line">
          <span class="state" :class="'state-' + job.state">{{ job.state }}</span>
          <a v-if="job.download" class="text-wrap" :href="job.download.url"
            download>{{ job.download.file }}</a>
          <span v-if="job.download" class="quiet">{{ bytes(job.download.bytes) }}</span>
          <span v-if="job.message" class="text-wrap"
            :class="{ bad: job.state === 'failed' }">{{ job.message }}</span>
        </li>
      </ul>
    </section>`,
  data: () => ({ format: "hf", jobs: [], error: null, busy: false, operator: null }),
  computed: {
    formats() {
      if (!this.network) return FORMATS;
      return [["hf", "its weights (.tar)"], FORMATS[1]];
    },
  },
  async mounted() {
    this.operator = await mayOperate().catch(() => false);
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    bytes,
    async start() {
      this.busy = true;
      this.error = null;
      try {
        const body = { candidate: this.candidate, format: this.format };
        const key = { "Idempotency-Key": String(Math.random()) };
        this.jobs.unshift(await send("POST", path("runs", this.run, "exports"), body, key));
        this.again();
      } catch (error) {
        this.error = error;
      }
      this.busy = false;
    },
    again() {
      clearTimeout(this.timer);
      this.timer = setTimeout(this.follow, AGAIN_MS);
    },
    async follow() {
      try {
        this.jobs = await Promise.all(
          this.jobs.map((job) => (ENDED.includes(job.state) ? job : get(path("jobs", job.job_id)))),
        );
        this.error = null;
      } catch (error) {
        this.error = error;
      }
      if (this.jobs.some((job) => !ENDED.includes(job.state))) this.again();
    },
  },
};
