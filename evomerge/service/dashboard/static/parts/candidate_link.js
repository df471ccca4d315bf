// A link to a candidate of a run, with the marks of what was said of it.

import { withQuery } from "evomerge/api.js";
import RemarkMarks from "evomerge/parts/remark_marks.js";
import { remarksOf } from "evomerge/remarks.js";

/** Return the address of a candidate's page. */
export function candidatePage(run, candidate, query = {}) {
  return withQuery(`/runs/${encodeURIComponent(run)}/candidates/${encodeURIComponent(candidate)}`, query);
}

export default {
  components: { RemarkMarks },
  props: {
    run: { type: String, required: true },
    candidate: { type: String, required: true },
    /** What the page is to show at once: {against, task, split}. */
    query: { type: Object, default: () => ({}) },
  },
  template: `
    <span class="candidate-link"><a :href="address">{{ candidate }}</a><RemarkMarks :remark="remark"
      /></span>`,
  computed: {
    address() {
      return candidatePage(this.run, this.candidate, this.query);
    },
    remark() {
      return remarksOf(this.run)[this.candidate];
    },
  },
};
