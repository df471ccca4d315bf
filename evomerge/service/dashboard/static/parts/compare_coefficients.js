// Coefficients of several candidates: each as it is, or its difference to the first one's.

import { isFlat } from "evomerge/charts/coefficients.js";
import { HeatMap, whyNone } from "evomerge/parts/coefficients_card.js";

export default {
  components: { HeatMap },
  props: { details: Array, differences: Boolean },
  emits: ["choose"],
  template: `
    <section class="card" aria-labelledby="maps-title">
      <div class="card-title"><h2 id="maps-title">Coefficients</h2><span class="space"></span>
        <span v-if="comparable" class="either" role="group" aria-label="What the heat maps show">
          <button type="button" :aria-pressed="!differences" @click="$emit('choose', false)">each</button>
          <button type="button" :aria-pressed="differences" @click="$emit('choose', true)">
            minus {{ details[0].candidate }}</button></span>
      </div>
      <p v-if="!options.length" class="quiet flush">{{ nothing }}</p>
      <template v-for="option in options" :key="option">
        <h3>{{ option }}</h3>
        <div class="grid">
          <div v-for="(item, i) in details" :key="item.candidate">
            <p class="quiet flush">{{ i + 1 }}:
              {{ item.candidate }}{{ minusOf(item, option) ? " − " + details[0].candidate : "" }}</p>
            <HeatMap v-if="find(item, option)" :item="find(item, option)" :minus="minusOf(item, option)" />
            <p v-else class="quiet flush">It has no such coefficients.</p>
          </div>
        </div>
      </template>
    </section>`,
  computed: {
    options() {
      const found = this.details.flatMap((item) =>
        item.coefficients.filter((one) => this.details.some((other) => this.varies(other, one))).map(nameOf),
      );
      return [...new Set(found)];
    },
    comparable() {
      return this.options.some((option) => this.find(this.details[0], option)?.rows.length);
    },
    nothing() {
      const reasons = new Set(this.details.map(whyNone));
      return this.details.some((item) => item.coefficients.length)
        ? "The same numbers in all layers; the genes tell them apart."
        : [...reasons].join(" ");
    },
  },
  methods: {
    find(item, option) {
      return item.coefficients.find((one) => nameOf(one) === option);
    },
    varies(item, like) {
      const found = this.find(item, nameOf(like));
      return Boolean(found && !isFlat(found));
    },
    /** Segments end in other places in each candidate, so that only layers are subtracted. */
    minusOf(item, option) {
      const first = this.find(this.details[0], option);
      const fits = first?.rows.length && first.layers === this.find(item, option)?.layers;
      return this.differences && item !== this.details[0] && fits ? first : null;
    },
  },
};

function nameOf(item) {
  return `${item.stage}: ${item.option} of ${item.method}`;
}
