// Jobs whose run isn't there yet: those that wait, are being prepared, or failed before.

import { get, path, withQuery } from "evomerge/api.js";
import { when } from "evomerge/format.js";
import { poll } from "evomerge/poll.js";

export default {
  props: {
    runs: { type: Array, default: null },
    /** `runs` are all that there are. */
    complete: Boolean,
  },
  template: `
    <section v-if="runs && shown.length" class="card" aria-label="Jobs without a run">
      <h2 class="card-title">Not begun yet</h2>
      <div class="table-wrap">
        <table class="plain">
          <tbody>
            <tr v-for="job in shown" :key="job.job_id">
              <td class="run-name"><a class="text-wrap" :href="'/runs/' + job.run_id">{{ job.name }}</a></td>
              <td><span class="state" :class="'state-' + job.state">{{ job.state }}</span></td>
              <td class="text-wrap quiet">{{ job.message }}</td>
              <td class="number hide-narrow">{{ when(job.submitted_s) }}</td>
            </tr>
          </tbody>
        </table>
      </div>
    </section>`,
  data: () => ({ jobs: [] }),
  computed: {
    shown() {
      const begun = new Set(this.runs.map((run) => run.run_id));
      const without = (job) => !begun.has(job.run_id) && (job.starts === 0 || this.complete);
      return this.jobs.filter(without).slice(0, 10);
    },
  },
  mounted() {
    this.leave = poll(this.load, 4000);
  },
  unmounted() {
    this.leave();
  },
  methods: {
    when,
    async load() {
      const query = { kind: "run", state: ["queued", "running", "failed"], limit: 20 };
      try {
        this.jobs = (await get(withQuery(path("jobs"), query))).jobs;
      } catch {
        // The table of runs says what is wrong.
      }
    },
  },
};
