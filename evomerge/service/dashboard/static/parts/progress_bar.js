// How far a run is, as a bar with its numbers; failed candidates are a part of their own.

import { count, percent, plural } from "evomerge/format.js";

export default {
  props: { progress: { type: Object, default: null } },
  template: `
    <div v-if="progress" class="progress">
      <div class="progress-bar" role="img" :aria-label="label">
        <div class="progress-done" :style="{ width: share(progress.evaluated - progress.failed) }"></div>
        <div class="progress-failed" :style="{ width: share(progress.failed) }"></div>
      </div>
      <div class="progress-text">
        {{ count(progress.evaluated) }}<span class="quiet">/{{ count(progress.budget) }}</span>
        <span v-if="progress.failed" class="progress-note">{{ count(progress.failed) }} failed</span>
      </div>
    </div>
    <span v-else class="quiet">–</span>`,
  computed: {
    label() {
      const { evaluated, failed, budget } = this.progress;
      return `${percent(evaluated / budget)} of ${plural(budget, "candidate")}, ${count(failed)} failed`;
    },
  },
  methods: {
    count,
    share(n) {
      return `${Math.min(100, (100 * n) / Math.max(this.progress.budget, 1))}%`;
    },
  },
};
