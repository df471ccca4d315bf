// What the lines of parallel axes are, and how they are brushed.

import { MOST_OTHERS } from "evomerge/charts/front_parallel.js";
import { count } from "evomerge/format.js";

export default {
  props: { picture: Object, ranges: Object },
  emits: ["clear"],
  template: `
    <p class="quiet front-hint">
      <span class="sign-front">Blue</span>: front.
      <span class="sign-landmarks">Orange</span>: base, sources, starts. Grey: others<template v-if="few">, {{ count(most) }} of them drawn</template>.
      <span class="sign-picked">Green</span>: picked. <span class="sign-chosen">Purple</span>: chosen.
      Drag along an axis to choose a range; the list below follows. Click on a range to remove it.
      <button v-if="Object.keys(ranges).length" class="link" type="button" @click="$emit('clear')">
        Remove all ranges</button>
    </p>`,
  data: () => ({ most: MOST_OTHERS }),
  computed: {
    few() {
      return this.picture.counts.others > MOST_OTHERS;
    },
  },
  methods: { count },
};
