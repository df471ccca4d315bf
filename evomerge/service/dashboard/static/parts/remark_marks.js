// What was said of a candidate, as small marks beside its name: star, pin, ban, notes.

import { plural } from "evomerge/format.js";

export default {
  props: {
    /** {starred, banned, pinned, notes} of the API; nothing shows where nothing was said. */
    remark: { type: Object, default: null },
  },
  template: `
    <span v-if="marks.length" class="marks">
      <span v-for="mark in marks" :key="mark.word" class="mark" :class="'mark-' + mark.word"
        :title="mark.title">
        <span aria-hidden="true">{{ mark.sign }}</span><span class="sr-only">{{ mark.title }}</span>
      </span>
    </span>`,
  computed: {
    marks() {
      const { starred, pinned, banned, notes } = this.remark ?? {};
      const found = [];
      if (starred) found.push({ word: "star", sign: "★", title: "has a star" });
      if (pinned) found.push({ word: "pin", sign: "⚑", title: "pinned: always among the finalists" });
      if (banned) found.push({ word: "ban", sign: "⊘", title: "banned: never chosen again" });
      if (notes?.length) {
        const last = notes.at(-1).text;
        const title =
          notes.length === 1 ? `note: ${last}` : `${plural(notes.length, "note")}, the last: ${last}`;
        found.push({ word: "note", sign: "✎", title });
      }
      return found;
    },
  },
};
