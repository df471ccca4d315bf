// The figures of two runs in two columns.

import { compact, count, duration, percent, rate, score, when } from "evomerge/format.js";
import CandidateLink from "evomerge/parts/candidate_link.js";

export default {
  components: { CandidateLink },
  props: {
    runs: { type: Array, required: true },
    /** The best candidate of each run, or null. */
    best: { type: Array, required: true },
  },
  template: `
    <section class="card" aria-label="Figures">
      <div class="table-wrap" tabindex="0" role="group" aria-label="Figures of both runs">
        <table class="plain two-runs">
          <thead>
            <tr>
              <td></td>
              <th scope="col" v-for="(run, i) in runs" :key="run.run_id" class="number">
                <span class="line-sign" :class="'line-sign-' + (i + 1)" aria-hidden="true"></span>
                <a class="text-wrap" :href="'/runs/' + run.run_id">{{ run.name }}</a></th>
            </tr>
          </thead>
          <tbody>
            <tr><th scope="row">State</th>
              <td v-for="run in runs" class="number"><span class="state"
                :class="'state-' + run.state">{{ run.state }}</span></td></tr>
            <tr><th scope="row">Best</th>
              <td v-for="(run, i) in runs" class="number">
                <CandidateLink v-if="best[i]" :run="run.run_id" :candidate="best[i]" /><span
                  v-else>–</span></td></tr>
            <tr v-for="[name, of] in rows" :key="name"><th scope="row" class="text-wrap">{{ name }}</th>
              <td v-for="run in runs" class="number">{{ of(run) }}</td></tr>
          </tbody>
        </table>
      </div>
    </section>`,
  computed: {
    rows() {
      const objectives = [...new Set(this.runs.flatMap((run) => Object.keys(run.directions)))];
      return [
        ...objectives.map((name) => [name, (run) => this.value(run, name)]),
        ["Hypervolume", (run) => score(run.hypervolume?.value)],
        ["Evaluated", (run) => `${count(run.progress.evaluated)} of ${count(run.progress.budget)}`],
        ["Failed", (run) => count(run.progress.failed)],
        ["Speed", (run) => rate(run.candidates_per_s)],
        ["Device time", (run) => duration(run.device_s)],
        ["Utilisation", (run) => percent(run.utilisation)],
        ["Cost", (run) => compact(run.cost)],
        ["Begun", (run) => when(run.started_s)],
      ];
    },
  },
  methods: {
    value(run, name) {
      return name in run.best ? `${score(run.best[name])} (${run.split})` : "–";
    },
  },
};
