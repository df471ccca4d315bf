// What is wrong with a part of a run file, below the fields that it is about.

export default {
  props: {
    problems: { type: Array, required: true },
    keys: Boolean, // Name the keys, where it isn't clear from the place.
  },
  template: `
    <p v-for="item in problems" class="field-problem"><code v-if="keys">{{ item.key }}</code> {{ item.message }}</p>`,
};
