// Where time went, as a bar of parts: merging, scoring, tokenising, and what was lost between.

import { duration, percent } from "evomerge/format.js";

/** Parts of workers' time in the order in which they are shown, and what each is. */
export const PARTS = [
  ["merge", "merging", "building the candidates"],
  ["score", "scoring", "forward passes and metrics"],
  ["tokenise", "tokenising", "building and tokenising requests"],
  ["overhead", "overhead", "handing jobs over, keeping answers, messages"],
  ["cut_off", "cut off", "work of attempts whose worker died or was stopped"],
  ["wait", "waiting", "the worker had nothing to do"],
];

export default {
  props: {
    /** Part → seconds. */
    seconds: { type: Object, required: true },
    /** Shows the parts by name too. */
    legend: Boolean,
  },
  template: `
    <div class="split">
      <div class="split-bar" role="img" :aria-label="label" :title="label">
        <div v-for="part in parts" :key="part.name" :class="'split-' + part.name"
          :style="{ width: 100 * part.share + '%' }"></div>
      </div>
      <dl v-if="legend" class="figures">
        <div v-for="part in parts" :key="part.name" :title="part.title">
          <dt><span class="split-sign" :class="'split-' + part.name"
            aria-hidden="true"></span>{{ part.label }}</dt>
          <dd>{{ percent(part.share) }} <span
            class="quiet plain-weight">{{ duration(part.seconds) }}</span></dd>
        </div>
      </dl>
    </div>`,
  computed: {
    parts() {
      const all = PARTS.reduce((sum, [name]) => sum + (this.seconds[name] ?? 0), 0) || 1;
      return PARTS.map(([name, label, title]) => {
        const seconds = this.seconds[name] ?? 0;
        return { name, label, title, seconds, share: seconds / all };
      });
    },
    label() {
      return this.parts.map((part) => `${part.label} ${percent(part.share)}`).join(", ");
    },
  },
  methods: { duration, percent },
};
