// A question before something is done: what it is, and a button that does it.

export default {
  props: {
    modelValue: Boolean,
    title: { type: String, required: true },
    button: { type: String, required: true },
    danger: Boolean,
  },
  emits: ["update:modelValue", "yes"],
  template: `
    <q-dialog :model-value="modelValue" @update:model-value="$emit('update:modelValue', $event)"
      :aria-label="title">
      <q-card class="ask">
        <h2>{{ title }}</h2>
        <slot />
        <div class="ask-buttons">
          <q-btn flat no-caps label="Back" @click="close" />
          <q-btn unelevated no-caps :label="button" :color="danger ? 'negative' : 'primary'" @click="yes" />
        </div>
      </q-card>
    </q-dialog>`,
  methods: {
    close() {
      this.$emit("update:modelValue", false);
    },
    yes() {
      this.close();
      this.$emit("yes");
    },
  },
};
