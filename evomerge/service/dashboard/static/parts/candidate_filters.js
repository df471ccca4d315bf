// Which candidates a list shows: state, split, origin, a star, bounds on objectives.

import ChooseOne from "evomerge/parts/choose_one.js";
import StateFilter from "evomerge/parts/state_filter.js";

const STATES = ["done", "pending", "failed"];
const KINDS = [["", "all kinds"], ["search", "of the search"], ["reference", "base and sources"]];
const WAIT_MS = 300;

export default {
  components: { ChooseOne, StateFilter },
  props: { query: Object, objectives: Array, splits: Array },
  emits: ["change"],
  template: `
    <div class="row-line candidate-filters" role="search" aria-label="Filters">
      <StateFilter label="State" :states="states" :model-value="query.status"
        @update:model-value="(status) => $emit('change', { status })" />
      <ChooseOne v-if="choices.length > 1" label="Split that was scored" :options="choices"
        :model-value="query.split || 'search'"
        @update:model-value="(split) => $emit('change', { split: split === 'search' ? '' : split })" />
      <label class="labelled"><span class="sr-only">Kind</span>
        <select class="field" :value="query.kind" @change="$emit('change', { kind: $event.target.value })">
          <option v-for="[value, word] in kinds" :key="value" :value="value">{{ word }}</option>
        </select>
      </label>
      <input v-for="[key, word] in texts" :key="key" class="field" type="search" :aria-label="word"
        :placeholder="word" :value="query[key]" @input="later(key, $event.target.value)">
      <button class="choice" type="button" :aria-pressed="Boolean(query.starred)"
        @click="$emit('change', { starred: query.starred ? '' : 'true' })">★ starred</button>
      <form v-if="objectives.length" class="labelled bound" aria-label="Add a bound" @submit.prevent="bind">
        <select v-model="name" class="field" aria-label="Objective">
          <option v-for="item in objectives" :key="item.name" :value="item.name">{{ item.name }}</option>
        </select>
        <select v-model="sign" class="field" aria-label="At least or at most">
          <option value=">=">≥</option><option value="<=">≤</option>
        </select>
        <input v-model="bound" class="field" type="number" step="any" required aria-label="Bound">
        <button class="button" type="submit">Add</button>
      </form>
      <span v-for="text in query.where" :key="text" class="pinned">
        {{ text }}
        <button class="link" type="button" :aria-label="'Remove ' + text" @click="unbind(text)">✕</button>
      </span>
    </div>`,
  data() {
    return {
      states: STATES,
      kinds: KINDS,
      texts: [["text", "Part of the id"], ["origin", "Origin begins with"], ["parent", "Child of"]],
      name: this.objectives[0]?.name,
      sign: this.objectives[0]?.direction === "minimize" ? "<=" : ">=",
      bound: "",
    };
  },
  computed: {
    choices() {
      // One that an address names is there also while nothing is scored on it.
      const all = new Set(["search", ...this.splits, this.query.split || "search"]);
      return [...all].map((split) => [split, split]);
    },
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    later(key, text) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.$emit("change", { [key]: text.trim() }), WAIT_MS);
    },
    bind() {
      const text = `${this.name} ${this.sign} ${this.bound}`;
      if (!this.query.where.includes(text)) this.$emit("change", { where: [...this.query.where, text] });
      this.bound = "";
    },
    unbind(text) {
      this.$emit("change", { where: this.query.where.filter((item) => item !== text) });
    },
  },
};
