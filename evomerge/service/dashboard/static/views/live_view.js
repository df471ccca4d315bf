// A run as it goes on: figures, best so far, hypervolume, speed, failures, log.

import { choose, chosen } from "evomerge/address.js";
import { get, path, withQuery } from "evomerge/api.js";
import { Live } from "evomerge/live.js";
import CurveChart from "evomerge/parts/curve_chart.js";
import Problem from "evomerge/parts/problem.js";
import RunAbout from "evomerge/parts/run_about.js";
import RunFailures from "evomerge/parts/run_failures.js";
import RunFigures from "evomerge/parts/run_figures.js";
import RunLog from "evomerge/parts/run_log.js";

export default {
  mixins: [Live],
  components: { CurveChart, Problem, RunAbout, RunFailures, RunFigures, RunLog },
  props: { run: String },
  template: `
    <div class="view">
      <Problem :error="error" />
      <div v-if="!detail && !error && !waits" class="grid">
        <div class="card" v-for="n in 3" :key="n"><q-skeleton height="180px" square /></div>
      </div>
      <template v-if="detail && metrics">
        <RunFigures :run="detail" :metrics="metrics" :final="final" />
        <div class="row-line">
          <div class="choices" role="group" aria-label="Charts over">
            <button type="button" class="choice" :aria-pressed="by === 'evaluated'"
              @click="by = 'evaluated'">by candidates</button>
            <button type="button" class="choice" :aria-pressed="by === 'time'"
              @click="by = 'time'">by time</button>
          </div>
        </div>
        <div class="grid">
          <section class="card" v-for="item in curves" :key="item.name">
            <h2 class="card-title"><span class="text-wrap">{{ item.name }}</span>
              <span class="quiet small">{{ item.note }}</span></h2>
            <CurveChart v-if="item.series.length" what="best" :series="item.series" :options="item.options" />
            <p v-else class="empty">{{ unscored }}</p>
          </section>
          <section class="card" v-if="covered.length">
            <h2 class="card-title">Hypervolume <span
              class="quiet small">share of the ideal that the front covers</span></h2>
            <CurveChart what="hypervolume" :series="covered" :options="{ by }" />
          </section>
          <section class="card" v-if="settled.length">
            <h2 class="card-title">Speed</h2>
            <CurveChart what="speed" :series="settled" :options="{ by }" />
          </section>
          <RunFailures :run="run" :detail="detail" :metrics="metrics" />
          <RunAbout :run="detail" />
        </div>
        <RunLog :run="run" />
      </template>
    </div>`,
  data() {
    const by = chosen().one("by") === "time" ? "time" : "evaluated";
    return { detail: null, metrics: null, final: null, error: null, waits: false, by };
  },
  computed: {
    same() {
      const { evaluated, at_s } = this.metrics.settled;
      const end = { evaluated: evaluated.at(-1) ?? 0, at_s: at_s.at(-1) ?? 0 };
      return { name: this.detail.name, end, started_s: this.detail.started_s };
    },
    unscored() {
      const { failures } = this.metrics;
      return `No candidate has a score${failures.length ? ": look at the failures below" : " yet"}.`;
    },
    curves() {
      const better = (name) => (this.detail.directions[name] === "minimize" ? "lower" : "higher");
      return Object.entries(this.metrics.best).map(([name, curve]) => ({
        name,
        note: `best so far on the search split, 95 % interval · ${better(name)} is better`,
        series: curve.value.length ? [{ ...this.same, curve }] : [],
        options: { objective: name, direction: this.detail.directions[name], by: this.by, open: this.open },
      }));
    },
    covered() {
      const curve = this.metrics.hypervolume;
      return curve?.value.length ? [{ ...this.same, curve }] : [];
    },
    settled() {
      const curve = this.metrics.settled;
      return curve.evaluated.length > 2 ? [{ ...this.same, curve }] : [];
    },
  },
  watch: {
    by() {
      choose({ by: this.by === "time" ? "time" : "" });
    },
  },
  methods: {
    async load() {
      try {
        // The bar above says that there is no such run, or that its job waits.
        this.waits = !(await get(withQuery(path("runs"), { run: this.run }))).items.length;
        if (this.waits) return;
        [this.detail, this.metrics] = await Promise.all([
          get(path("runs", this.run)),
          get(path("runs", this.run, "metrics")),
        ]);
        this.error = null;
        await this.loadFinal();
      } catch (error) {
        this.error = error;
      }
    },
    /** Fetch the intervals of the best, which is chosen on another split than the curves show. */
    async loadFinal() {
      const { best_candidate: text, split } = this.detail;
      if (!text) this.final = null;
      else {
        const page = await get(withQuery(path("runs", this.run, "candidates"), { text, split, limit: 200 }));
        this.final = page.items.find((item) => item.candidate === text)?.objectives ?? null;
      }
    },
    open(candidate) {
      location.assign(`/runs/${this.run}/candidates/${encodeURIComponent(candidate)}`);
    },
  },
};
