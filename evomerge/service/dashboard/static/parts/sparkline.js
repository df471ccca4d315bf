// A run's best so far as a line as small as a word; its width is the whole budget.

import { score } from "evomerge/format.js";

const WIDTH = 96;
const HEIGHT = 24;
const EDGE = 2.5;

export default {
  props: {
    /** {objective, evaluated, value} of a run's list entry, or null. */
    course: { type: Object, default: null },
    budget: { type: Number, default: null },
  },
  template: `
    <svg v-if="points.length" class="sparkline" :viewBox="box" :width="width" :height="height" role="img"
      :aria-label="label">
      <title>{{ label }}</title>
      <polyline :points="line" />
      <circle :cx="points.at(-1)[0]" :cy="points.at(-1)[1]" r="2" />
    </svg>
    <span v-else class="quiet" aria-hidden="true">–</span>`,
  data: () => ({ width: WIDTH, height: HEIGHT, box: `0 0 ${WIDTH} ${HEIGHT}` }),
  computed: {
    known() {
      const { evaluated = [], value = [] } = this.course ?? {};
      return evaluated.map((at, i) => [at, value[i]]).filter(([, y]) => Number.isFinite(y));
    },
    points() {
      const ys = this.known.map(([, y]) => y);
      const [low, high] = [Math.min(...ys), Math.max(...ys)];
      const most = Math.max(this.budget ?? 0, ...this.known.map(([x]) => x), 1);
      const across = (x) => EDGE + ((WIDTH - 2 * EDGE) * x) / most;
      const share = (y) => (high > low ? (y - low) / (high - low) : 0.5);
      const down = (y) => HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * share(y);
      return this.known.map(([x, y]) => [across(x).toFixed(1), down(y).toFixed(1)]);
    },
    line() {
      // Between two generations the best so far stays what it was.
      const steps = this.points.map(([x, y], i) => [[x, (this.points[i - 1] ?? [x, y])[1]], [x, y]]);
      return steps.flat().join(" ");
    },
    label() {
      const values = this.known.map(([, y]) => score(y));
      return `${this.course.objective} from ${values[0]} to ${values.at(-1)}`;
    },
  },
};
