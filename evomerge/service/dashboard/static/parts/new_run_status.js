// What the check of a run file found: mistakes that lead to their lines, and what may go wrong.

import Problem from "evomerge/parts/problem.js";
import { plural } from "evomerge/format.js";

export default {
  components: { Problem },
  props: {
    checking: Boolean,
    result: { type: Object, default: null },
    problems: { type: Array, required: true }, // {key, message, line}
  },
  emits: ["show"],
  template: `
    <div class="check-status">
      <p role="status" class="state" :class="mark">{{ said }}</p>
      <Problem :error="result?.failed" />
      <ul v-if="problems.length" class="check-list" aria-label="Mistakes">
        <li v-for="item in problems">
          <button v-if="item.line" type="button" class="link" @click="$emit('show', item)">
            line {{ item.line }}</button>
          <code v-if="item.key && !item.key.startsWith('line ')">{{ item.key }}</code> {{ item.message }}
        </li>
      </ul>
      <ul v-if="!problems.length && result?.warnings.length" class="check-list quiet" aria-label="Notes">
        <li v-for="text in result.warnings">{{ text }}</li>
      </ul>
    </div>`,
  computed: {
    mark() {
      if (this.checking) return "state-waiting";
      if (this.problems.length || this.result?.failed) return "state-failed";
      return this.result ? "state-done" : "state-waiting";
    },
    said() {
      if (this.checking) return "Checking…";
      if (this.problems.length) return plural(this.problems.length, "mistake");
      if (this.result?.failed) return "Couldn't be checked";
      if (!this.result) return "Not checked yet";
      return this.result.warnings.length ? "No mistakes, with notes" : "No mistakes";
    },
  },
};
