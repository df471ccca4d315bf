// What the lines of parallel axes are, and how they are brushed.

import { MOST_OTHERS } from "evomerge/charts/front_parallel.js";
import { count } from "evomerge/format.js";

const SIGNS = [
  ["front", "blue: front"],
  ["landmarks", "orange: base, sources, starts"],
  ["others", "grey: others"],
  ["picked", "green: picked"],
  ["chosen", "purple: chosen"],
];

export default {
  props: { picture: Object, ranges: Object },
  emits: ["clear"],
  template: `
    <p class="quiet front-hint">
      <span v-for="[look, word] in signs" :key="look" class="nowrap">
        <span class="swatch" :class="'swatch-' + look" aria-hidden="true"></span>{{ word }}</span>
      <template v-if="few">{{ count(most) }} of the others are drawn.</template>
      Drag along an axis to choose a range; the list below follows. Click on a range to remove it.
      <button v-if="Object.keys(ranges).length" class="link" type="button" @click="$emit('clear')">
        Remove all ranges</button>
    </p>`,
  data: () => ({ most: MOST_OTHERS, signs: SIGNS }),
  computed: {
    few() {
      return this.picture.counts.others > MOST_OTHERS;
    },
  },
  methods: { count },
};
