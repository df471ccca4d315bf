// A field whose text stays while it is being typed, whatever is drawn anew around it meanwhile.

export default {
  props: { value: { type: [String, Number], default: "" } },
  /** With the text, once it is entered. */
  emits: ["commit"],
  template: `<input :value="typed ?? value" @input="typed = $event.target.value" @change="commit">`,
  data: () => ({ typed: null }),
  methods: {
    commit(event) {
      this.typed = null;
      this.$emit("commit", event.target.value);
    },
  },
};
