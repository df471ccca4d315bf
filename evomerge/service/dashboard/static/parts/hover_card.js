// The card beside the pointer on a front's chart: which candidate that is, and its scores.

import { interval } from "evomerge/format.js";
import RemarkMarks from "evomerge/parts/remark_marks.js";
import { remarksOf } from "evomerge/remarks.js";

const GAP = 14;

export default {
  components: { RemarkMarks },
  props: { point: { type: Object, default: null }, objectives: Array, run: String },
  template: `
    <div v-show="point" class="hover-card" :style="{ left: left + 'px', top: top + 'px' }" aria-hidden="true">
      <template v-if="point">
        <div>
          <strong class="mono">{{ point.candidate }}</strong><RemarkMarks :remark="remark" />
          <span class="quiet hover-origin">{{ point.origin }}</span>
        </div>
        <div v-if="point.marks.length">{{ point.marks.join(", ") }}</div>
        <div v-if="!point.feasible" class="bad">misses a constraint</div>
        <dl>
          <template v-for="item in objectives" :key="item.name">
            <dt>{{ item.name }}</dt><dd>{{ interval(point.numbers[item.name]) }}</dd>
          </template>
        </dl>
      </template>
    </div>`,
  data: () => ({ left: 0, top: 0 }),
  computed: {
    remark() {
      return remarksOf(this.run)[this.point.candidate];
    },
  },
  methods: {
    interval,
    /** Move the card beside the pointer, to the side that has room. */
    async place(event) {
      await this.$nextTick();
      const own = this.$el.getBoundingClientRect();
      const right = event.clientX + GAP;
      const below = event.clientY + GAP;
      this.left = right + own.width < innerWidth ? right : Math.max(0, event.clientX - GAP - own.width);
      this.top = below + own.height < innerHeight ? below : Math.max(0, event.clientY - GAP - own.height);
    },
  },
};
