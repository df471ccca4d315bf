// How much of each source is where: heat maps by layer or segment, and plain numbers where all layers agree.

import { unplot } from "evomerge/chart.js";
import { drawCoefficients, flatRows, isFlat } from "evomerge/charts/coefficients.js";
import { compact } from "evomerge/format.js";

const HeatMap = {
  props: { item: Object, minus: { type: Object, default: null } },
  template: `<div ref="chart"></div>`,
  watch: {
    item: "draw",
    minus: "draw",
  },
  mounted() {
    this.draw();
  },
  unmounted() {
    unplot(this.element);
  },
  methods: {
    draw() {
      this.element = this.$refs.chart;
      drawCoefficients(this.element, this.item, { minus: this.minus });
    },
  },
};

export { HeatMap };

/** Say why a candidate has no coefficients. */
export function whyNone(detail) {
  if (detail.kind === "reference") return "A source as it is: nothing is merged.";
  const { base, sources } = detail.recipe;
  if (sources[base]?.path.startsWith("network:")) return "A network with random weights; the search begins with it.";
  if (detail.route) return "No stage merges weights; layers are taken as they are, see the route.";
  return "Its methods have no numbers by source.";
}

export default {
  components: { HeatMap },
  props: { detail: Object },
  template: `
    <section class="card" aria-labelledby="coefficients-title">
      <div class="card-title"><h2 id="coefficients-title">Coefficients</h2>
        <span v-if="methods" class="quiet">{{ methods }}</span></div>
      <p v-if="!detail.coefficients.length" class="quiet flush">{{ why }}</p>
      <template v-for="item in maps" :key="item.stage + item.option">
        <h3>{{ titleOf(item) }}{{ " " }}<span class="quiet">by {{ item.segments ? 'segment' : 'layer' }} and
          source</span></h3>
        <HeatMap :item="item" />
      </template>
      <div v-if="numbers.length" class="table-wrap"><table class="plain narrow">
        <thead><tr><th scope="col">the same in all layers</th><th scope="col">source</th>
          <th scope="col" class="number">number</th></tr></thead>
        <tbody><tr v-for="row in numbers"><td>{{ row.title }}</td><td>{{ row.input }}</td>
          <td class="number">{{ compact(row.value) }}</td></tr></tbody>
      </table></div>
    </section>`,
  computed: {
    why() {
      return whyNone(this.detail);
    },
    methods() {
      const stages = new Map(this.detail.coefficients.map((item) => [item.stage, item.method]));
      return [...stages]
        .map(([stage, method]) => (stages.size > 1 ? `${stage}: ${method}` : method))
        .join(", ");
    },
    maps() {
      return this.detail.coefficients.filter((item) => !isFlat(item));
    },
    numbers() {
      return this.detail.coefficients
        .filter((item) => isFlat(item) && item.option !== "seed")
        .flatMap((item) =>
          flatRows(item).map(([input, value]) => ({ title: this.titleOf(item), input, value })),
        );
    },
  },
  methods: {
    compact,
    titleOf(item) {
      const several = new Set(this.detail.coefficients.map((other) => other.stage)).size > 1;
      return several ? `${item.stage}: ${item.option}` : item.option;
    },
  },
};
