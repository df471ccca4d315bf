// A run's figures at a glance.

import { compact, count, duration, interval, percent, plural, rate, score } from "evomerge/format.js";
import CandidateLink from "evomerge/parts/candidate_link.js";

export default {
  components: { CandidateLink },
  props: {
    run: { type: Object, required: true },
    metrics: { type: Object, required: true },
    /** Objective → value with interval of the run's final best; null before. */
    final: { type: Object, default: null },
  },
  template: `
    <section class="card" aria-label="Figures">
      <dl class="figures">
        <div v-for="item in best" :key="item.name" class="wide-figure">
          <dt class="text-wrap">{{ item.name }} <span class="small">({{ item.split }})</span></dt>
          <dd>{{ item.text }}
            <span v-if="item.candidate" class="plain-weight"><CandidateLink :run="run.run_id"
              :candidate="item.candidate" /></span></dd>
        </div>
        <div v-for="[name, value, title] in figures" :key="name"><dt
          :title="title">{{ name }}</dt><dd>{{ value }}</dd></div>
      </dl>
    </section>`,
  computed: {
    best() {
      const names = Object.keys(this.run.directions);
      return names.map((name) => {
        const curve = this.metrics.best[name];
        const at = (part) => curve?.[part].at(-1);
        return this.run.best_candidate !== null
          ? { name, split: this.run.split, text: this.finalText(name), candidate: this.run.best_candidate }
          : {
              name,
              split: "best so far, search",
              text: interval({ value: at("value"), low: at("low"), high: at("high") }),
              candidate: at("candidates"),
            };
      });
    },
    figures() {
      const { progress, hypervolume, accounting } = this.run;
      const running = this.run.state === "running";
      const failed = percent(progress.failed / Math.max(progress.evaluated, 1));
      const covers = "share of the ideal that the front covers";
      const left = "to the end of the budget at this speed";
      const found = [
        ["Evaluated", `${count(progress.evaluated)} of ${count(progress.budget)}`],
        ["Failed", `${count(progress.failed)} (${failed})`],
      ];
      if (hypervolume) found.push(["Hypervolume", score(hypervolume.value), covers]);
      if (this.run.generations) found.push(["Generations", count(this.run.generations)]);
      found.push(["Speed", rate(this.run.candidates_per_s), "over the last hundred candidates"]);
      if (running) found.push(["Time left", duration(this.run.eta_s), left]);
      if (running) found.push(["Workers", count(this.run.workers)]);
      found.push(
        ["Device time", duration(accounting.device_s)],
        ["Utilisation", percent(accounting.utilisation), "of the time that workers were there"],
        ["Cost", compact(accounting.cost), "execution.cost_per_device_hour × time"],
      );
      if (accounting.lost) found.push(["Lost", plural(accounting.lost, "attempt"), "made again"]);
      return found;
    },
  },
  methods: {
    finalText(name) {
      return this.final?.[name] ? interval(this.final[name]) : score(this.run.best[name]);
    },
  },
};
