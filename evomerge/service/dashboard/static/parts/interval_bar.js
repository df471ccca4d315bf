// A number with its interval as a dot on a line, beside the digits that say the same.

export default {
  props: {
    /** {value, low, high} of the API. */
    number: { type: Object, default: null },
    /** [from, to]: what the bar's ends mean, the same for all bars of a column. */
    range: { type: Array, required: true },
    /** Mark zero: for differences. */
    zero: Boolean,
  },
  template: `
    <span v-if="known" class="bar" aria-hidden="true">
      <span v-if="zero" class="bar-zero" :style="{ left: at(0) }"></span>
      <span class="bar-line" :style="{ left: at(low), right: fromRight(high) }"></span>
      <span class="bar-dot" :style="{ left: at(number.value) }"></span>
    </span>`,
  computed: {
    known() {
      return Number.isFinite(this.number?.value) && this.range[1] > this.range[0];
    },
    low() {
      return this.number.low ?? this.number.value;
    },
    high() {
      return this.number.high ?? this.number.value;
    },
  },
  methods: {
    share(value) {
      const [from, to] = this.range;
      return 100 * Math.min(1, Math.max(0, (value - from) / (to - from)));
    },
    at(value) {
      return `${this.share(value)}%`;
    },
    fromRight(value) {
      return `${100 - this.share(value)}%`;
    },
  },
};

/** Return the range that holds all `numbers` and their intervals; around zero for differences. */
export function rangeOf(numbers, { zero = false } = {}) {
  const ends = numbers
    .filter((number) => Number.isFinite(number?.value))
    .flatMap((number) => [number.value, number.low ?? number.value, number.high ?? number.value]);
  if (zero) {
    const most = Math.max(...ends.map(Math.abs), 0);
    return [-most, most];
  }
  return [Math.min(...ends), Math.max(...ends)];
}
