// One prompt and what each model said, side by side.

import { plural, when } from "evomerge/format.js";
import TalkAnswer from "evomerge/parts/talk_answer.js";

const WAITS = {
  driver: "A worker of the run answers as soon as one is free, after the candidates that wait already.",
  job: "A process of its own builds the models, one after the other.",
  nobody: "The run stopped before it was answered.",
};

export default {
  components: { TalkAnswer },
  props: { run: String, talk: { type: Object, required: true }, operator: { type: Boolean, default: null } },
  emits: ["answer"],
  template: `
    <article class="card talk-turn" :aria-label="'Talk ' + talk.talk">
      <header>
        <p class="talk-asked text-wrap">{{ talk.prompt }}</p>
        <p class="quiet small">{{ talk.by }}, {{ when(talk.asked_s) }} · {{ how }}</p>
        <p v-if="talk.system" class="quiet small text-wrap">System message: {{ talk.system }}</p>
      </header>
      <div v-if="talk.state === 'waiting'" class="notice row-line" role="status">
        <span>{{ waits }}</span>
        <button v-if="talk.waits_for === 'nobody' && operator" type="button" class="button"
          @click="$emit('answer')">
          Answer it now</button>
      </div>
      <div class="talk-answers" :style="{ '--columns': Math.min(talk.answers.length, 4) }">
        <TalkAnswer v-for="item in talk.answers" :key="item.model" :run="run" :answer="item"
          :same="same[item.model]" />
      </div>
    </article>`,
  computed: {
    waits() {
      return WAITS[this.talk.waits_for] ?? "";
    },
    how() {
      const { temperature, seed, max_new_tokens: tokens, chat_template: template } = this.talk;
      const draws = temperature ? `temperature ${temperature}, seed ${seed}` : "likeliest tokens";
      return `${draws}, at most ${plural(tokens, "token")}${template ? "" : ", no chat template"}`;
    },
    /** Model → the first other one that said the very same. */
    same() {
      const first = {};
      const found = {};
      for (const { model, state, text } of this.talk.answers) {
        if (state !== "done") continue;
        if (text in first) found[model] = first[text];
        else first[text] = model;
      }
      return found;
    },
  },
  methods: { when },
};
