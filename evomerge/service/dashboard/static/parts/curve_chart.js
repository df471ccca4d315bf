// A chart of runs' curves that is drawn anew whenever its data change.

import { unplot } from "evomerge/chart.js";
import { drawBest, drawHypervolume, drawSpeed } from "evomerge/charts/curves.js";

const DRAW = { best: drawBest, hypervolume: drawHypervolume, speed: drawSpeed };

export default {
  props: {
    /** best, hypervolume or speed. */
    what: { type: String, required: true },
    series: { type: Array, required: true },
    options: { type: Object, default: () => ({}) },
  },
  template: `<div ref="chart" class="curve"></div>`,
  watch: {
    series: "draw",
    options: "draw",
  },
  mounted() {
    this.draw();
  },
  beforeUnmount() {
    unplot(this.$refs.chart);
  },
  methods: {
    draw() {
      return DRAW[this.what](this.$refs.chart, this.series, this.options);
    },
  },
};
