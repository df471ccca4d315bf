// Two runs side by side: figures, curves on one chart, run files, the recipes of their best.

import { choose, chosen } from "evomerge/address.js";
import { get, path, withQuery } from "evomerge/api.js";
import CurveChart from "evomerge/parts/curve_chart.js";
import DifferenceTable from "evomerge/parts/difference_table.js";
import Problem from "evomerge/parts/problem.js";
import TwoRuns from "evomerge/parts/two_runs.js";

export default {
  components: { CurveChart, DifferenceTable, Problem, TwoRuns },
  template: `
    <div class="view">
      <h1>Compare two runs</h1>
      <div class="row-line">
        <select v-for="side in [0, 1]" :key="side" class="field wide-field" v-model="picked[side]"
          @change="load"
          :aria-label="side ? 'Second run' : 'First run'">
          <option value="" disabled>{{ side ? "Second run" : "First run" }}</option>
          <option v-for="run in runs" :key="run.run_id"
            :value="run.run_id">{{ run.name }} ({{ run.folder }})</option>
        </select>
      </div>
      <Problem :error="error" />
      <div v-if="!ready && !error" class="card empty">Choose two runs.</div>
      <div v-else-if="!both && !error" class="card"><q-skeleton height="220px" square /></div>
      <template v-if="both">
        <TwoRuns :runs="both" :best="best" />
        <div class="row-line">
          <div class="choices" role="group" aria-label="Charts over">
            <button type="button" class="choice" :aria-pressed="by === 'evaluated'"
              @click="by = 'evaluated'">by candidates</button>
            <button type="button" class="choice" :aria-pressed="by === 'time'"
              @click="by = 'time'">by time</button>
          </div>
        </div>
        <div class="grid">
          <section class="card" v-for="chart in charts" :key="chart.title">
            <h2 class="card-title"><span class="text-wrap">{{ chart.title }}</span> <span
              class="quiet small">{{ chart.note }}</span></h2>
            <CurveChart :what="chart.what" :series="chart.series" :options="chart.options" />
          </section>
        </div>
        <section class="card">
          <h2 class="card-title">Run files</h2>
          <DifferenceTable :a="both[0].config" :b="both[1].config" :names="names" what="run files" />
        </section>
        <section class="card">
          <h2 class="card-title">Recipes of the best <span class="quiet small"
            v-if="recipes">{{ bestText }}</span></h2>
          <DifferenceTable v-if="recipes" :a="recipes[0]" :b="recipes[1]" :names="names" what="recipes" />
          <p v-else class="quiet flush">{{ recipeNote }}</p>
        </section>
      </template>
    </div>`,
  data() {
    const { one, all } = chosen();
    const [first = "", second = ""] = all("run");
    return {
      picked: [first, second],
      by: one("by") === "time" ? "time" : "evaluated",
      runs: [],
      both: null,
      metrics: null,
      recipes: null,
      recipeNote: "",
      error: null,
    };
  },
  computed: {
    ready() {
      return this.picked.every(Boolean);
    },
    names() {
      const [a, b] = this.both.map((run) => run.name);
      return a === b ? this.both.map((run) => run.folder) : [a, b];
    },
    best() {
      return this.both.map((run, i) => run.best_candidate ?? newest(this.metrics[i].best));
    },
    bestText() {
      return this.best.map((name, i) => `${name} of ${this.names[i]}`).join(", ");
    },
    charts() {
      const shared = this.both.map((run, i) => {
        const { evaluated, at_s } = this.metrics[i].settled;
        const end = { evaluated: evaluated.at(-1), at_s: at_s.at(-1) };
        return { name: this.names[i], started_s: run.started_s, end };
      });
      const series = (of) =>
        shared
          .map((item, i) => ({ ...item, curve: of(this.metrics[i]) }))
          .filter(({ curve }) => curve?.at_s.length);
      const objectives = [...new Set(this.both.flatMap((run) => Object.keys(run.directions)))];
      const charts = objectives.map((objective) => {
        const direction = this.both.map((run) => run.directions[objective]).find(Boolean);
        const note = `best so far, search split, ${direction === "minimize" ? "lower" : "higher"} is better`;
        const found = series((metrics) => metrics.best[objective]);
        const options = { objective, direction, by: this.by };
        return { title: objective, what: "best", note, series: found, options };
      });
      const more = [
        ["Hypervolume", "hypervolume", (metrics) => metrics.hypervolume],
        ["Speed", "speed", (metrics) => metrics.settled],
      ];
      for (const [title, what, of] of more) {
        charts.push({ title, what, note: "", series: series(of), options: { by: this.by } });
      }
      return charts.filter((chart) => chart.series.length);
    },
  },
  watch: {
    by: "keep",
  },
  async mounted() {
    this.load();
    try {
      const { items } = await get(withQuery(path("runs"), { limit: 200 }));
      this.runs = items.filter((run) => run.state !== "unreadable");
    } catch (error) {
      this.error = error;
    }
  },
  methods: {
    keep() {
      choose({ run: this.picked, by: this.by === "time" ? "time" : "" });
    },
    async load() {
      this.keep();
      if (!this.ready) return;
      const turn = (this.turn = (this.turn ?? 0) + 1);
      this.both = this.recipes = null;
      try {
        const each = (...end) => Promise.all(this.picked.map((run) => get(path("runs", run, ...end))));
        const [both, metrics] = await Promise.all([each(), each("metrics")]);
        if (turn !== this.turn) return;
        this.metrics = metrics;
        this.both = both;
        this.error = null;
        await this.loadRecipes(turn);
      } catch (error) {
        if (turn === this.turn) this.error = error;
      }
    },
    async loadRecipes(turn) {
      this.recipeNote = "One of the runs has no candidate with a score yet.";
      if (!this.best.every(Boolean)) return;
      const asked = this.both.map((run, i) => get(path("runs", run.run_id, "candidates", this.best[i])));
      const found = await Promise.all(asked);
      if (turn === this.turn) this.recipes = found.map((candidate) => candidate.recipe);
    },
  },
};

/** Return the best candidate so far by the first objective. */
function newest(best) {
  return Object.values(best)[0]?.candidates.at(-1) ?? null;
}
