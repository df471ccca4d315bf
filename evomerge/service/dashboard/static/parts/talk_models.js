// Who is asked: up to four candidates, and whether those that they came from are asked too.

import { get, path, withQuery } from "evomerge/api.js";
import { remarksOf } from "evomerge/remarks.js";
import { MOST } from "evomerge/parts/talk_choice.js";

const OTHERS = [
  ["parents", "their parents"],
  ["base", "the base"],
  ["sources", "all sources"],
];
const SUGGESTED = 6;

export default {
  props: { run: String, choice: { type: Object, required: true } },
  emits: ["change"],
  template: `
    <div class="view talk-models">
      <div class="row-line" role="group" aria-label="Candidates that are asked">
        <span class="talk-label">Ask</span>
        <span v-for="name in choice.candidates" :key="name" class="talk-chip">
          {{ name }}
          <button type="button" :aria-label="'Leave out ' + name" @click="remove(name)">×</button>
        </span>
        <span v-if="choice.candidates.length < most" class="talk-add">
          <input class="field" type="text" v-model="text" list="talk-candidates" maxlength="255"
            aria-label="Candidate to ask" placeholder="Candidate" autocomplete="off"
            @input="typed" @keydown.enter.prevent="add(text)" @change="known(text) && add(text)" />
          <datalist id="talk-candidates"><option v-for="name in found" :key="name" :value="name" /></datalist>
        </span>
        <span v-else class="quiet small">Four is the most.</span>
        <span v-if="others.length && choice.candidates.length < most" class="row-line talk-suggested">
          <span class="quiet small">Best and starred:</span>
          <button v-for="name in others" :key="name" type="button" class="link" :aria-label="'Ask ' + name"
            @click="add(name)">{{ name }}</button>
        </span>
      </div>
      <div class="row-line" role="group" aria-label="Who is asked too">
        <span class="talk-label">and</span>
        <label v-for="[key, label] in kinds" :key="key" class="talk-check">
          <input type="checkbox" :checked="choice[key]"
            @change="$emit('change', { [key]: $event.target.checked })" />
          {{ label }}</label>
      </div>
    </div>`,
  data: () => ({ most: MOST, kinds: OTHERS, text: "", found: [], suggested: [] }),
  computed: {
    others() {
      const starred = Object.values(remarksOf(this.run)).filter((remark) => remark.starred);
      const names = [...this.suggested, ...starred.map((remark) => remark.candidate)];
      return [...new Set(names)].filter((name) => !this.choice.candidates.includes(name)).slice(0, SUGGESTED);
    },
  },
  async mounted() {
    this.look();
    this.suggested = await this.best().catch(() => []); // names can be typed
  },
  unmounted() {
    clearTimeout(this.typing);
  },
  methods: {
    typed() {
      clearTimeout(this.typing);
      this.typing = setTimeout(this.look, 200);
    },
    async look() {
      try {
        const query = { text: this.text, status: "done", limit: 20 };
        const { items } = await get(withQuery(path("runs", this.run, "candidates"), query));
        this.found = items.map((item) => item.candidate);
      } catch {
        this.found = [];
      }
    },
    /** Return the front's first candidates, and after them those that come next by its first objective. */
    async best() {
      const few = { points: 32, others: 0 };
      const { front, objectives } = await get(withQuery(path("runs", this.run, "front"), few));
      const [{ name, direction }] = objectives;
      const sort = direction === "maximize" ? `-${name}` : name;
      const query = { kind: "search", status: "done", sort, limit: SUGGESTED };
      const { items } = await get(withQuery(path("runs", this.run, "candidates"), query));
      return [...new Set([...front.candidates.slice(0, SUGGESTED), ...items.map((item) => item.candidate)])];
    },
    known(name) {
      return this.found.includes(name);
    },
    add(name) {
      const wanted = name.trim();
      this.text = "";
      const before = this.choice.candidates;
      if (!wanted || before.includes(wanted) || before.length >= MOST) return;
      this.$emit("change", { candidates: [...before, wanted] });
    },
    remove(name) {
      this.$emit("change", { candidates: this.choice.candidates.filter((item) => item !== name) });
    },
  },
};
