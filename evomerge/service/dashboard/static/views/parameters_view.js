// The genes of a run: which matter, how scores lie along them, what rises together.

import { choose, chosen } from "evomerge/address.js";
import { get, path, withQuery } from "evomerge/api.js";
import { drawCorrelations } from "evomerge/charts/correlations.js";
import { drawImportance, MOST_BARS } from "evomerge/charts/importance.js";
import { drawSlices } from "evomerge/charts/slices.js";
import { count, percent, plural } from "evomerge/format.js";
import { candidatePage } from "evomerge/parts/candidate_link.js";
import ChartBox from "evomerge/parts/chart_box.js";
import ChooseOne from "evomerge/parts/choose_one.js";
import GeneTable from "evomerge/parts/gene_table.js";
import Problem from "evomerge/parts/problem.js";

const SHARES = [["", "auto"], ["0.05", "5 %"], ["0.1", "10 %"], ["0.2", "20 %"], ["0.5", "50 %"]];
const MOST_SLICES = 12;

export default {
  components: { ChartBox, ChooseOne, GeneTable, Problem },
  props: { run: String },
  template: `
    <section class="view" aria-labelledby="parameters-title">
      <h2 id="parameters-title" class="sr-only">Parameters</h2>
      <Problem :error="error" />
      <template v-if="!parameters && !error">
        <p class="quiet" role="status">Looking at the candidates; of long runs that takes some seconds.</p>
        <q-skeleton height="320px" square />
      </template>
      <p v-if="parameters && parameters.reason" class="card empty">{{ parameters.reason }}</p>
      <template v-else-if="parameters">
        <div class="row-line">
          <ChooseOne v-if="objectives.length > 1" :model-value="shown" :options="objectives" label="Objective"
            @update:model-value="(name) => objective = name" />
          <span class="row-line">
            <span class="quiet" id="share-label">the best are</span>
            <ChooseOne v-model="share" :options="shares" label="Share of the candidates that are the best" />
          </span>
          <span class="space"></span>
          <span class="quiet">{{ rests }}</span>
        </div>
        <div v-if="parameters.note" class="notice">{{ parameters.note }}</div>
        <section class="card" aria-labelledby="importance-title">
          <div class="card-title">
            <h2 id="importance-title">What matters for {{ shown }}</h2>
            <span class="quiet">
              by PED-ANOVA: what the best {{ percent(parameters.quantile) }} have in common</span>
          </div>
          <p v-if="importance.reason" class="empty">{{ importance.reason }}</p>
          <template v-else>
            <ChartBox :draw="drawImportance" :data="importance" :options="importanceOptions" />
            <p class="quiet" style="margin: 8px 0 0">
              Hatched bars aren't above the dashed line, which the largest of ten random numbers reaches:
              such a gene may mean nothing.
              <template v-if="hidden">The table below has {{ plural(hidden, "more gene") }}.</template>
            </p>
          </template>
        </section>
        <section class="card" aria-labelledby="slices-title">
          <div class="card-title">
            <h2 id="slices-title">{{ shown }} along the genes</h2>
            <span class="quiet">{{ slicesHint }}</span>
          </div>
          <q-select v-model="genes" :options="geneNames" multiple use-chips dense outlined clearable
            :max-values="most" label="Genes; the most important ones if none is chosen" class="gene-choice" />
          <ChartBox :key="sliceKey" :draw="drawSlices" :data="parameters" :options="sliceOptions" />
        </section>
        <section class="card" aria-labelledby="correlations-title">
          <div class="card-title">
            <h2 id="correlations-title">What rises together</h2>
            <span class="quiet">Spearman's rank correlation of raw values{{ fewer }}</span>
          </div>
          <ChartBox :draw="drawCorrelations" :data="parameters.correlations" />
        </section>
        <GeneTable :parameters="parameters" />
      </template>
    </section>`,
  data() {
    const { one, all } = chosen();
    return {
      parameters: null,
      error: null,
      objective: one("objective"),
      share: one("quantile"),
      genes: all("gene"),
      shares: SHARES,
      most: MOST_SLICES,
    };
  },
  computed: {
    objectives() {
      return this.parameters.objectives.map(({ name }) => [name, name]);
    },
    shown() {
      const names = this.parameters.objectives.map(({ name }) => name);
      return names.includes(this.objective) ? this.objective : names[0];
    },
    importance() {
      return this.parameters.importance[this.shown];
    },
    importanceOptions() {
      return { chosen: this.genes ?? [], onPick: this.pick };
    },
    hidden() {
      return Math.max(0, this.importance.genes.length - MOST_BARS);
    },
    sliceOptions() {
      const onPick = (candidate) => location.assign(candidatePage(this.run, candidate));
      return { objective: this.shown, onPick };
    },
    /** Subplots don't give way to fewer of them. */
    sliceKey() {
      return Object.keys(this.parameters.slices.genes).length;
    },
    geneNames() {
      return this.parameters.genes.map((gene) => gene.name);
    },
    slicesHint() {
      return `the best ${percent(this.parameters.quantile)} as diamonds; a click opens a candidate`;
    },
    rests() {
      const { scored, shown, used } = this.parameters.counts;
      const all = plural(scored, "scored candidate");
      if (shown === scored && used === scored) return all;
      return `${all}: a sample of ${count(shown)}, of which importances take ${count(used)}`;
    },
    fewer() {
      const left = this.parameters.genes.length - this.parameters.correlations.genes.length;
      return left > 0 ? `, without ${plural(left, "gene")} that matter least or have no order` : "";
    },
  },
  watch: {
    objective: "keep",
    share: "again",
    genes: "again",
  },
  mounted() {
    window.addEventListener("evomerge:changed", this.refresh);
    this.load();
  },
  unmounted() {
    window.removeEventListener("evomerge:changed", this.refresh);
    clearTimeout(this.timer);
  },
  methods: {
    count,
    drawCorrelations,
    drawImportance,
    drawSlices,
    percent,
    plural,
    async load() {
      const began = performance.now();
      const asked = (this.asked = {});
      try {
        const query = { quantile: this.share, gene: this.genes ?? [] };
        const found = await get(withQuery(path("runs", this.run, "parameters"), query));
        if (asked !== this.asked) return;
        this.parameters = Object.freeze(found);
        this.error = null;
      } catch (error) {
        if (asked === this.asked) this.error = error;
      }
      this.took = performance.now() - began;
    },
    /** Look again; what takes long less often. */
    refresh() {
      this.timer ??= setTimeout(async () => {
        await this.load();
        this.timer = null;
      }, 10 * (this.took ?? 0));
    },
    pick(gene) {
      const genes = this.genes ?? [];
      if (genes.includes(gene)) this.genes = genes.filter((name) => name !== gene);
      else if (genes.length < MOST_SLICES) this.genes = [...genes, gene];
    },
    keep() {
      choose({ objective: this.objective, quantile: this.share, gene: this.genes ?? [] });
    },
    again() {
      this.keep();
      this.load();
    },
  },
};
