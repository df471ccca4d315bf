// One of a few words, as a row of buttons of which one is pressed.

export default {
  props: { options: { type: Array, required: true }, modelValue: String, label: String },
  emits: ["update:modelValue"],
  template: `
    <div class="choices" role="group" :aria-label="label">
      <button v-for="[value, word] in options" :key="value" type="button" class="choice"
        :aria-pressed="modelValue === value" @click="$emit('update:modelValue', value)">{{ word }}</button>
    </div>`,
};
