// Candidates that were picked for a comparison, and the way to it.

import { withQuery } from "evomerge/api.js";

/** How many can be compared side by side. */
export const MOST = 6;

/** Return `pinned` with or without `candidate`; a full list stays as it is. */
export function togglePin(pinned, candidate) {
  if (pinned.includes(candidate)) return pinned.filter((name) => name !== candidate);
  return pinned.length < MOST ? [...pinned, candidate] : pinned;
}

export default {
  props: { run: String, pinned: { type: Array, default: () => [] } },
  emits: ["change"],
  template: `
    <div v-if="pinned.length" class="row-line pinned-bar" role="group" aria-label="Picked for a comparison">
      <span class="quiet">Picked</span>
      <span v-for="(candidate, i) in pinned" :key="candidate" class="pinned">
        <span class="pinned-number" aria-hidden="true">{{ i + 1 }}</span>
        <span class="mono">{{ candidate }}</span>
        <button class="link" type="button" :aria-label="'Leave out ' + candidate" @click="leave(candidate)">
          ✕</button>
      </span>
      <a v-if="pinned.length > 1" class="button" :href="address">Compare {{ pinned.length }}</a>
      <span v-else class="quiet">pick one more to compare</span>
      <button class="link" type="button" @click="$emit('change', [])">Clear</button>
    </div>`,
  computed: {
    address() {
      return withQuery(`/runs/${encodeURIComponent(this.run)}/compare`, { candidate: this.pinned });
    },
  },
  methods: {
    leave(candidate) {
      this.$emit("change", this.pinned.filter((name) => name !== candidate));
    },
  },
};
