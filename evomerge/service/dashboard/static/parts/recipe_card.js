// A candidate's recipe as text to copy, for evomerge or mergekit.

import { get, path, withQuery } from "evomerge/api.js";
import Problem from "evomerge/parts/problem.js";

const FORMATS = [
  ["recipe", "Recipe", "for 'evomerge merge'"],
  ["mergekit", "mergekit", "a mergekit file"],
];

export default {
  components: { Problem },
  props: { run: String, candidate: String },
  template: `
    <section class="card" aria-labelledby="recipe-title">
      <div class="card-title"><h2 id="recipe-title">Recipe</h2>
        <span class="quiet">{{ hint }}</span><span class="space"></span>
        <span class="either" role="group" aria-label="Form of the recipe">
          <button v-for="[name, label] in formats" type="button" :aria-pressed="format === name"
            @click="format = name">
            {{ label }}</button></span>
        <button type="button" class="button button-quiet" :disabled="!text" @click="copy">Copy</button>
        <span class="quiet" role="status">{{ said }}</span>
      </div>
      <Problem :error="error" />
      <q-skeleton v-if="!text && !error" height="120px" square />
      <pre v-if="text" ref="text" class="text-block" tabindex="0"
        aria-label="Text of the recipe">{{ text }}</pre>
    </section>`,
  data: () => ({ format: "recipe", text: "", error: null, said: "", formats: FORMATS }),
  computed: {
    hint() {
      return FORMATS.find(([name]) => name === this.format)[2];
    },
    asked() {
      return `${this.candidate} ${this.format}`;
    },
  },
  watch: { asked: { handler: "load", immediate: true } },
  methods: {
    async load() {
      const { asked, format } = this;
      this.text = this.said = "";
      this.error = null;
      try {
        const address = path("runs", this.run, "candidates", this.candidate, "recipe");
        const text = await get(withQuery(address, { format }));
        if (asked === this.asked) this.text = text;
      } catch (error) {
        if (asked === this.asked) this.error = error;
      }
    },
    async copy() {
      try {
        await navigator.clipboard.writeText(this.text);
        this.said = "copied";
      } catch {
        // Browsers refuse on pages without TLS: then it is marked, to be copied by hand.
        getSelection().selectAllChildren(this.$refs.text);
        this.said = "press Ctrl+C to copy";
      }
    },
  },
};
