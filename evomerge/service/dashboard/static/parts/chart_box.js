// A place for a chart that is drawn anew whenever its data or options change.

import { unplot } from "evomerge/chart.js";

export default {
  props: {
    /** (element, data, options) => Promise: one of the functions in charts/. */
    draw: { type: Function, required: true },
    data: { type: [Object, Array], required: true },
    options: { type: Object, default: () => ({}) },
    /** CSS height; charts that know their own set it themselves. */
    height: { type: String, default: "260px" },
  },
  template: `<div ref="chart" :style="{ height }"></div>`,
  watch: {
    data: "redraw",
    options: "redraw",
  },
  mounted() {
    this.redraw();
  },
  beforeUnmount() {
    unplot(this.$refs.chart);
  },
  methods: {
    redraw() {
      return this.draw(this.$refs.chart, this.data, this.options);
    },
  },
};
