// What a run searches, with what, and where it may go on from.

import { count, plural, when } from "evomerge/format.js";

export default {
  props: { run: { type: Object, required: true } },
  template: `
    <section class="card">
      <h2 class="card-title">About this run</h2>
      <dl class="facts">
        <template v-for="[name, text] in facts" :key="name"><dt>{{ name }}</dt><dd
          class="text-wrap">{{ text }}</dd></template>
      </dl>
      <details>
        <summary>Run file, all defaults filled in</summary>
        <pre class="log" tabindex="0">{{ file }}</pre>
      </details>
      <p class="more-links"><a :href="'/new?run=' + run.run_id">New run like this one</a>
        <a :href="'/compare?run=' + run.run_id">Compare with another run</a></p>
    </section>`,
  computed: {
    file() {
      return JSON.stringify(this.run.config, null, 2);
    },
    facts() {
      const { config, genes } = this.run;
      const { search = {}, execution } = config;
      const phases = search.phases?.map((phase) => phase.searcher).join(", then ");
      const found = [
        ["Begun", when(this.run.started_s)],
        ["Searcher", `${phases || search.searcher || "–"}, ${this.run.mode}`],
        ["Space", plural(genes.length, "gene")],
        ["Budget", `${plural(this.run.progress.budget, "candidate")}, seed ${search.seed ?? "–"}`],
        ["Base", config.base],
        ["Sources", Object.keys(this.run.sources).join(", ")],
        ["Tasks", Object.keys(this.run.tasks).join(", ")],
        ["Objectives", this.objectives],
        ["Workers", execution ? `${count(execution.workers)}, ${execution.executor}` : null],
        ["Versions", Object.entries(this.run.versions).map(([name, at]) => `${name} ${at}`).join(", ")],
        ["Plug-ins", this.run.plugins.map((item) => item.path).join(", ")],
      ];
      return found.filter(([, text]) => text);
    },
    objectives() {
      return Object.entries(this.run.directions)
        .map(([name, way]) => `${name} (${way === "minimize" ? "lower" : "higher"} is better)`)
        .join(", ");
    },
  },
};
