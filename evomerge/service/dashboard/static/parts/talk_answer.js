// What one model said.

import { duration, plural } from "evomerge/format.js";
import CandidateLink from "evomerge/parts/candidate_link.js";

const STATES = { waiting: "waits", answering: "is answering" };

export default {
  components: { CandidateLink },
  props: {
    run: String,
    answer: { type: Object, required: true },
    /** A model before it that said the very same. */
    same: { type: String, default: null },
  },
  template: `
    <section class="talk-answer" :aria-label="name + ', ' + answer.role">
      <h3 class="row-line">
        <CandidateLink v-if="!isSource" :run="run" :candidate="answer.model" />
        <span v-else class="text-wrap">{{ name }}</span>
        <span class="quiet small">{{ answer.role }}</span>
      </h3>
      <p v-if="answer.state === 'done' && answer.text" class="talk-said text-wrap">{{ answer.text }}<span
        v-if="answer.capped" class="quiet" title="The limit of tokens ended it"> …</span></p>
      <p v-else-if="answer.state === 'done'" class="quiet">It said nothing.</p>
      <p v-else-if="answer.state === 'failed'" class="bad text-wrap">{{ answer.message }}</p>
      <p v-else class="quiet"><span class="state" :class="mark">{{ word }}</span></p>
      <p v-if="answer.state === 'done'" class="quiet small talk-facts">{{ facts }}</p>
    </section>`,
  computed: {
    isSource() {
      return ["base", "source"].includes(this.answer.role);
    },
    name() {
      return this.isSource ? this.answer.model.replace(/^ref-/, "") : this.answer.model;
    },
    word() {
      return STATES[this.answer.state];
    },
    mark() {
      return this.answer.state === "answering" ? "state-busy" : "state-waiting";
    },
    facts() {
      const { n_tokens: n, answer_s: seconds, templated, truncated } = this.answer;
      const found = [plural(n, "token")];
      if (seconds >= 0.1) found.push(duration(seconds));
      if (this.same) found.unshift(`same as ${this.same.replace(/^ref-/, "")}`);
      if (templated) found.push("chat template");
      if (truncated) found.push("the beginning had no room");
      return found.join(" · ");
    },
  },
};
