// All genes with their ranges, importances and correlations, as a table.

import { compact, count, percent } from "evomerge/format.js";

const FEW = 12;

export default {
  props: { parameters: Object },
  template: `
    <section class="card" aria-labelledby="genes-title">
      <div class="card-title"><h2 id="genes-title">Genes</h2></div>
      <div class="table-wrap" tabindex="0" role="region" aria-labelledby="genes-title">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">gene</th><th scope="col">range</th>
              <template v-for="item in parameters.objectives" :key="item.name">
                <th scope="col" class="number">matters for {{ item.name }}</th>
                <th scope="col" class="number">ρ with {{ item.name }}</th>
              </template>
            </tr>
          </thead>
          <tbody>
            <tr v-for="gene in shown" :key="gene.name">
              <td>{{ gene.name }}</td>
              <td style="white-space: nowrap">{{ rangeOf(gene) }}</td>
              <template v-for="item in parameters.objectives" :key="item.name">
                <td class="number">{{ percent(importanceOf(gene, item)) }}</td>
                <td class="number">{{ compact(correlationOf(gene, item)) }}</td>
              </template>
            </tr>
          </tbody>
        </table>
      </div>
      <q-btn v-if="rest" flat dense no-caps color="primary" :label="'Show ' + count(rest) + ' more'"
        @click="all = true" />
    </section>`,
  data: () => ({ all: false }),
  computed: {
    shown() {
      return this.all ? this.parameters.genes : this.parameters.genes.slice(0, FEW);
    },
    rest() {
      return this.parameters.genes.length - this.shown.length;
    },
  },
  methods: {
    compact,
    count,
    percent,
    rangeOf(gene) {
      if (gene.kind === "categorical") return gene.choices.join(", ");
      const spread = gene.scale === "log" ? ", by its logarithm" : "";
      return `${compact(gene.low)} to ${compact(gene.high)}${spread}${gene.inferred ? ", as seen" : ""}`;
    },
    importanceOf(gene, { name }) {
      const { genes, value } = this.parameters.importance[name];
      return value[genes.indexOf(gene.name)];
    },
    correlationOf(gene, { name }) {
      const { genes, objectives, value } = this.parameters.correlations;
      const row = genes.indexOf(gene.name);
      return row < 0 ? null : value[row][genes.length + objectives.indexOf(name)];
    },
  },
};
