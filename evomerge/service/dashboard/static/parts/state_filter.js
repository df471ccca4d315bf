// Which states a list shows: a row of buttons, any number of them pressed; none means all.

export default {
  props: {
    states: { type: Array, required: true },
    modelValue: { type: Array, required: true },
    label: { type: String, required: true },
  },
  emits: ["update:modelValue"],
  template: `
    <div class="choices" role="group" :aria-label="label">
      <button v-for="state in states" :key="state" type="button" class="choice"
        :aria-pressed="modelValue.includes(state)"
        @click="turn(state)"><span class="state" :class="'state-' + state">{{ state }}</span></button>
    </div>`,
  methods: {
    turn(state) {
      const pressed = (item) => this.modelValue.includes(item) !== (item === state);
      this.$emit("update:modelValue", this.states.filter(pressed));
    },
  },
};
