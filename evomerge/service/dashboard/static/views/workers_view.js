// The workers of a run: what each does now, where time went, and what failed on which.

import { get, path } from "evomerge/api.js";
import { bytes, count, duration, percent, plural } from "evomerge/format.js";
import { poll } from "evomerge/poll.js";
import CandidateLink from "evomerge/parts/candidate_link.js";
import Problem from "evomerge/parts/problem.js";
import TimeSplit from "evomerge/parts/time_split.js";
import WorkerTotals from "evomerge/parts/worker_totals.js";

export default {
  components: { CandidateLink, Problem, TimeSplit, WorkerTotals },
  props: { run: String },
  template: `
    <div class="view">
      <Problem :error="error" />
      <div class="card" v-if="!workers && !error"><q-skeleton height="160px" square /></div>
      <template v-if="workers && detail">
        <section class="card">
          <h2 class="card-title">Where the workers' time went <span
            class="quiet small">over the whole run</span></h2>
          <dl class="figures">
            <div v-for="[name, value] in figures" :key="name"><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
          </dl>
          <TimeSplit v-if="detail.accounting.attempts" :seconds="detail.accounting.seconds" legend />
        </section>
        <section class="card">
          <h2 class="card-title">Now</h2>
          <p v-if="!workers.items.length" class="quiet flush">
            {{ nobody }}</p>
          <div v-else class="table-wrap" tabindex="0" role="group" aria-label="Workers now">
            <table class="plain">
              <thead>
                <tr>
                  <th scope="col">Worker</th>
                  <th scope="col">Device</th>
                  <th scope="col">State</th>
                  <th scope="col">At work on</th>
                  <th scope="col" class="number">Since</th>
                  <th scope="col" class="number">Jobs</th>
                  <th scope="col" class="number">Utilisation</th>
                  <th scope="col" class="number">Memory</th>
                </tr>
              </thead>
              <tbody>
                <tr v-for="item in workers.items" :key="item.worker">
                  <td>{{ item.worker }} <span class="quiet">{{ item.node }}</span></td>
                  <td><code>{{ item.device }}</code></td>
                  <td><span class="state" :class="'state-' + item.state">{{ item.state }}</span>
                    <div v-if="item.reason" class="small quiet text-wrap">{{ item.reason }}</div></td>
                  <td><CandidateLink v-if="item.candidate" :run="run" :candidate="item.candidate" />
                    <span v-if="item.attempt > 1" class="quiet small"> attempt {{ item.attempt }}</span>
                    <span v-if="!item.candidate" class="quiet">–</span></td>
                  <td class="number">{{ duration(item.since_s) }}</td>
                  <td class="number">{{ count(item.jobs) }}</td>
                  <td class="number">{{ percent(item.utilisation) }}</td>
                  <td class="number">{{ item.memory_bytes ? bytes(item.memory_bytes) : "–" }}</td>
                </tr>
              </tbody>
            </table>
          </div>
        </section>
        <WorkerTotals :totals="workers.totals" />
      </template>
    </div>`,
  data: () => ({ detail: null, workers: null, error: null }),
  computed: {
    nobody() {
      const running = this.detail.state === "running";
      return running ? "No worker has come up yet." : "Nobody drives this run, so there are no workers.";
    },
    figures() {
      const { accounting } = this.detail;
      const there = this.workers.items.filter((item) => item.state !== "gone");
      const busy = there.filter((item) => item.state === "busy");
      return [
        ["Workers", there.length ? `${count(busy.length)} of ${count(there.length)} busy` : "none now"],
        ["Utilisation", percent(accounting.utilisation)],
        ["Utilisation now", percent(accounting.utilisation_now)],
        ["Device time", duration(accounting.device_s)],
        ["Attempts", count(accounting.attempts)],
        ["Lost", plural(accounting.lost, "attempt")],
      ];
    },
  },
  mounted() {
    window.addEventListener("evomerge:changed", this.load);
    // What workers do between two results is no event.
    this.leave = poll(this.load, 3000);
  },
  unmounted() {
    this.leave?.();
    window.removeEventListener("evomerge:changed", this.load);
  },
  methods: {
    bytes,
    count,
    duration,
    percent,
    async load() {
      try {
        [this.detail, this.workers] = await Promise.all([
          get(path("runs", this.run)),
          get(path("runs", this.run, "workers")),
        ]);
        this.error = null;
      } catch (error) {
        this.error = error;
      }
    },
  },
};
