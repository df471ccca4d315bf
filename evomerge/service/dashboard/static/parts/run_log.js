// The end of a run's log, which goes on while one watches.

import { get, path, withQuery } from "evomerge/api.js";
import { Live } from "evomerge/live.js";
import Problem from "evomerge/parts/problem.js";

const MOST = 500;

export default {
  mixins: [Live],
  components: { Problem },
  props: { run: { type: String, required: true } },
  template: `
    <section class="card">
      <h2 class="card-title">Log
        <label class="small quiet plain-weight"><input type="checkbox" v-model="follows"
          /> stay at its end</label></h2>
      <Problem :error="error" />
      <q-skeleton v-if="lines === null && !error" type="text" />
      <p v-else-if="lines && !lines.length" class="quiet flush">Nothing was logged yet.</p>
      <pre v-else-if="lines" ref="text" class="log tail" tabindex="0"
        aria-label="Log">{{ lines.join("\\n") }}</pre>
    </section>`,
  data: () => ({ lines: null, error: null, follows: true }),
  watch: {
    lines: { handler: "toEnd", flush: "post" },
    follows: "toEnd",
  },
  methods: {
    async load() {
      if (this.loading) return;
      this.loading = true;
      try {
        const query = this.after === undefined ? { limit: 200 } : { after: this.after, limit: 1000 };
        const found = await get(withQuery(path("runs", this.run, "logs"), query));
        const begun = this.after === undefined || found.next < this.after; // or the log was begun anew
        this.after = found.next;
        const before = begun ? [] : this.lines;
        if (begun || found.lines.length) this.lines = [...before, ...found.lines].slice(-MOST);
        this.error = null;
      } catch (error) {
        this.error = error;
      }
      this.loading = false;
    },
    toEnd() {
      const text = this.$refs.text;
      if (text && this.follows) text.scrollTop = text.scrollHeight;
    },
  },
};
