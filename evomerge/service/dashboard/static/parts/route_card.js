// The route of a candidate, drawn, and as a line of text.

import { drawRoute } from "evomerge/charts/route.js";

export default {
  props: { route: Object, title: { type: String, default: "Route" } },
  template: `
    <section class="card" :aria-label="title">
      <div class="card-title"><h2>{{ title }}</h2><span
        class="quiet">{{ route.title.replace("Route: ", "") }}</span></div>
      <div ref="drawing" class="scroll-box" tabindex="0" role="region"
        aria-label="Drawing of the route"></div>
      <p class="quiet small flush text-wrap">{{ route.sentence }}</p>
    </section>`,
  watch: { route: "draw" },
  mounted() {
    this.draw();
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.$el);
  },
  unmounted() {
    this.sizes.disconnect();
  },
  methods: {
    draw() {
      const width = this.$refs.drawing.clientWidth;
      const key = `${width} ${this.route.sentence}`;
      if (key === this.drawn) return;
      this.drawn = key;
      drawRoute(this.$refs.drawing, this.route);
    },
  },
};
