// What is asked next: the prompt, who is asked, and how they answer.

import Problem from "evomerge/parts/problem.js";
import TalkModels from "evomerge/parts/talk_models.js";
import TypedInput from "evomerge/parts/typed_input.js";

const VIEWER = "Your token only lets you read what was said. An operator's may ask.";

export default {
  components: { Problem, TalkModels, TypedInput },
  props: {
    run: String,
    choice: { type: Object, required: true },
    /** May ask; null while that isn't known. */
    operator: { type: Boolean, default: null },
    busy: Boolean,
    /** The turn that this one follows. */
    last: { type: Object, default: null },
    problem: { type: Object, default: null },
  },
  emits: ["change", "ask", "anew"],
  template: `
    <form class="card talk-composer" aria-label="Ask" @submit.prevent="ask">
      <TalkModels :run="run" :choice="choice" @change="$emit('change', $event)" />
      <div class="row-line">
        <label class="talk-label" for="talk-prompt">
          {{ last ? "Go on with this conversation" : "Prompt" }}</label>
        <button v-if="last" type="button" class="link small" @click="$emit('anew')">Begin a new one</button>
      </div>
      <textarea id="talk-prompt" ref="prompt" class="talk-prompt" v-model="prompt" rows="3" maxlength="20000"
        :placeholder="last ? '' : 'Text that the models answer or go on with'"
        @keydown.enter.ctrl.prevent="ask" @keydown.enter.meta.prevent="ask"></textarea>
      <Problem :error="problem" />
      <div class="row-line">
        <button type="submit" class="button button-first" :disabled="!ready"
          :title="reason || 'Ctrl+Enter'">Ask</button>
        <span v-if="reason" class="quiet small">{{ reason }}</span>
        <span class="space"></span>
        <button type="button" class="link" :aria-expanded="settings" aria-controls="talk-settings"
          @click="settings = !settings">{{ settings ? "Fewer settings" : "Settings" }}</button>
      </div>
      <div v-show="settings" id="talk-settings" class="talk-settings">
        <label>Tokens at most
          <input class="field" type="number" min="1" max="2048" step="1" :value="choice.tokens"
            @change="number('tokens', $event)" /></label>
        <label>Temperature
          <input class="field" type="number" min="0" max="5" step="0.1" :value="choice.temperature"
            @change="number('temperature', $event)" /></label>
        <label>Seed
          <input class="field" type="number" min="0" max="2147483647" step="1" :value="choice.seed"
            :disabled="!choice.temperature" @change="number('seed', $event)" /></label>
        <label class="talk-check">
          <input type="checkbox" :checked="choice.template"
            @change="set('template', $event.target.checked)" />
          Chat template, where there is one</label>
        <label class="talk-system">System message
          <TypedInput class="field" type="text" maxlength="4000" :value="choice.system"
            @commit="set('system', $event)" /></label>
      </div>
    </form>`,
  data: () => ({ prompt: "", settings: false }),
  computed: {
    nobody() {
      return !this.choice.candidates.length && !this.choice.base && !this.choice.sources;
    },
    reason() {
      if (this.operator === false) return VIEWER;
      return this.nobody ? "Choose somebody to ask." : "";
    },
    ready() {
      return this.operator && !this.busy && !this.reason && this.prompt.trim() !== "";
    },
  },
  methods: {
    ask() {
      if (!this.ready) return;
      this.$emit("ask", this.prompt, () => {
        this.prompt = "";
        this.$refs.prompt.focus();
      });
    },
    set(name, value) {
      this.$emit("change", { [name]: value });
    },
    number(name, event) {
      const { value, min, max } = event.target;
      const found = Number(value);
      if (value === "" || !Number.isFinite(found)) return;
      const kept = Math.max(Number(min), max === "" ? found : Math.min(Number(max), found));
      event.target.value = kept;
      this.set(name, name === "temperature" ? kept : Math.round(kept));
    },
  },
};
