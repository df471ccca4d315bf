// What a front's chart shows: its form, its axes, the split, intervals.

import ChooseOne from "evomerge/parts/choose_one.js";

const FORMS = { plane: [2, "Plane"], space: [3, "Space"], parallel: [2, "Parallel axes"] };
const AXES = ["Across", "Up", "Deep"];

export default {
  components: { ChooseOne },
  props: { picture: Object, choice: Object, intervals: Boolean },
  emits: ["choose"],
  template: `
    <div class="row-line front-controls" role="group" aria-label="What the chart shows">
      <ChooseOne
        v-if="forms.length > 1" :model-value="form" :options="forms" label="Form of the chart"
        @update:model-value="chooseForm" />
      <template v-if="form !== 'parallel' && known.length > 1">
        <label v-for="(name, i) in names" :key="i" class="labelled">
          <span>{{ axes[i] }}</span>
          <select class="field" :value="name" @change="chooseAxis(i, $event.target.value)">
            <option v-for="item in known" :key="item" :value="item">{{ item }}</option>
          </select>
        </label>
      </template>
      <div
        v-if="form === 'parallel' && known.length > 2" class="choices" role="group" aria-label="Objectives">
        <button
          v-for="name in known" :key="name" type="button" class="choice"
          :aria-pressed="names.includes(name)" @click="turn(name)">{{ name }}</button>
      </div>
      <ChooseOne
        v-if="splits.length > 1" :model-value="picture.split" :options="splits" label="Split that was scored"
        @update:model-value="(split) => $emit('choose', { split })" />
      <label v-if="form === 'plane'" class="labelled pick-cell">
        <input
          type="checkbox" :checked="intervals"
          @change="$emit('choose', { intervals: $event.target.checked })">
        <span class="nowrap">95 % intervals</span>
      </label>
    </div>`,
  data: () => ({ axes: AXES }),
  computed: {
    known() {
      return this.picture.known.map(({ name }) => name);
    },
    names() {
      return this.picture.objectives.map(({ name }) => name);
    },
    form() {
      const n = this.names.length;
      return this.choice.shape || n > 3 ? "parallel" : n === 3 ? "space" : "plane";
    },
    forms() {
      const found = Object.entries(FORMS).filter(([, [n]]) => n <= this.known.length);
      return found.map(([form, [, word]]) => [form, word]);
    },
    splits() {
      // One that an address names is there also while nothing is scored on it.
      return [...new Set([...this.picture.splits, this.picture.split])].map((split) => [split, split]);
    },
  },
  methods: {
    chooseForm(form) {
      if (form === "parallel") {
        this.$emit("choose", { names: [], shape: this.known.length > 3 ? "" : "parallel" });
        return;
      }
      const [n] = FORMS[form];
      // What was chosen stays, and what lacks comes from the others.
      const names = [...new Set([...this.names, ...this.known])].slice(0, n);
      this.$emit("choose", { names, shape: "" });
    },
    chooseAxis(place, name) {
      const names = [...this.names];
      const other = names.indexOf(name);
      if (other >= 0) names[other] = names[place]; // The two change places.
      names[place] = name;
      this.$emit("choose", { names });
    },
    turn(name) {
      const names = this.known.filter((item) => this.names.includes(item) !== (item === name));
      if (names.length < 2) return;
      this.$emit("choose", { names, shape: names.length > 3 ? "" : "parallel" });
    },
  },
};
