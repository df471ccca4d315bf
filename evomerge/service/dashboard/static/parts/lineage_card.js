// A candidate's family as a drawing of links.

import { get, path, withQuery } from "evomerge/api.js";
import { drawLineage } from "evomerge/charts/lineage.js";
import { count } from "evomerge/format.js";
import { candidatePage } from "evomerge/parts/candidate_link.js";
import Problem from "evomerge/parts/problem.js";
import { remarksOf } from "evomerge/remarks.js";

const DEPTHS = [1, 2, 3, 5, 10];

export default {
  components: { Problem },
  props: { run: String, candidate: String },
  template: `
    <section class="card" aria-labelledby="lineage-title">
      <div class="card-title"><h2 id="lineage-title">Lineage</h2>
        <span v-if="lineage && alone" class="quiet">neither parents nor children</span>
        <span v-else-if="lineage" class="quiet">{{ count(lineage.nodes.length - 1) }}
          relatives{{ more }}</span>
        <span class="space"></span>
        <label v-for="[key, label] in [['up', 'ancestors'], ['down', 'descendants']]" class="quiet">
          {{ label }} <select v-model.number="depth[key]" class="select"
            :aria-label="'Generations of ' + label">
            <option v-for="n in depths" :value="n">{{ n }}</option></select></label>
      </div>
      <Problem :error="error" />
      <q-skeleton v-if="!lineage && !error" height="80px" square />
      <div v-show="lineage && !alone" ref="drawing" class="scroll-box lineage" tabindex="0" role="region"
        aria-label="Family of the candidate"></div>
      <p v-if="lineage && alone" class="quiet flush">It was drawn without a parent, and nothing was made from
        it.</p>
    </section>`,
  data: () => ({ lineage: null, error: null, depth: { up: 3, down: 2 }, depths: DEPTHS }),
  computed: {
    alone() {
      return this.lineage.nodes.length === 1;
    },
    more() {
      return this.lineage.complete ? "" : ", more are farther away";
    },
    asked() {
      return `${this.candidate} ${this.depth.up} ${this.depth.down}`;
    },
    starred() {
      const remarks = Object.values(remarksOf(this.run));
      return remarks.filter((remark) => remark.starred).map((remark) => remark.candidate);
    },
  },
  watch: {
    asked: { handler: "load", immediate: true },
    starred(now, before) {
      if (now.join() !== before.join()) this.draw();
    },
  },
  mounted() {
    window.addEventListener("evomerge:changed", this.load);
  },
  unmounted() {
    window.removeEventListener("evomerge:changed", this.load);
  },
  methods: {
    count,
    async load() {
      const { up, down } = this.depth;
      try {
        const found = await get(withQuery(path("runs", this.run, "lineage", this.candidate), { up, down }));
        const same = JSON.stringify(found) === JSON.stringify(this.lineage);
        this.error = null;
        if (same) return;
        this.lineage = found;
        await this.$nextTick();
        this.draw();
      } catch (error) {
        this.error = error;
      }
    },
    draw() {
      if (!this.lineage || this.alone) return;
      drawLineage(this.$refs.drawing, this.lineage, {
        address: (candidate) => candidatePage(this.run, candidate),
        marks: (candidate) => (this.starred.includes(candidate) ? "★" : ""),
      });
    },
  },
};
