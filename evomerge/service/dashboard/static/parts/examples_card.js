// Examples that a candidate wins and loses against another: prompt, expected and given answers.

import { get, path, withQuery } from "evomerge/api.js";
import { count, plural, score } from "evomerge/format.js";
import Problem from "evomerge/parts/problem.js";

const OUTCOMES = ["won", "lost", "changed", "all"];
const PAGE = 12;
const AGAIN_MS = 2000;
const SIGNS = { won: "▲ won", lost: "▼ lost", same: "= same" };

export default {
  components: { Problem },
  props: {
    run: String,
    candidate: String,
    /** The other candidate; none: nothing to compare with. */
    against: { type: String, default: null },
    tasks: Array,
    task: String,
    split: String,
    outcome: String,
  },
  emits: ["choose"],
  template: `
    <section class="card" aria-labelledby="examples-title" id="examples">
      <div class="card-title"><h2 id="examples-title">Examples</h2>
        <span v-if="page && page.against" class="quiet">against {{ page.against }}:
          {{ count(page.counts.won) }} won, {{ count(page.counts.lost) }} lost of
            {{ count(page.counts.examples) }}</span>
        <span v-else-if="page" class="quiet">{{ plural(page.counts.examples, "example") }}</span>
        <span class="space"></span>
        <label class="quiet">task <select class="select" :value="task" aria-label="Task of the examples"
          @change="$emit('choose', { task: $event.target.value })">
          <option v-for="name in tasks" :value="name">{{ name }}</option></select></label>
        <span v-if="page && page.against" class="either" role="group" aria-label="Which examples">
          <button v-for="name in outcomes" type="button" :aria-pressed="outcome === name"
            @click="$emit('choose', { outcome: name })">{{ name }}</button></span>
      </div>
      <Problem :error="error" />
      <q-skeleton v-if="!page && !error" height="160px" square />
      <template v-if="page">
        <p v-if="page.texts.state === 'preparing' && items.length" class="quiet flush" role="status">
          Prompts and expected answers are being read…</p>
        <p v-if="page.texts.state === 'unavailable'" class="notice text-wrap">
          Prompts can't be shown: {{ page.texts.reason }}</p>
        <p v-if="against && !page.against && items.length" class="quiet flush">
          {{ against }} wasn't scored on these examples; they are shown for {{ candidate }} alone.</p>
        <p v-if="!items.length" class="empty">{{ nothing }}</p>
        <ol class="examples">
          <li v-for="item in items" :key="item.index" class="example">
            <div class="example-head">
              <span v-if="item.outcome" class="verdict"
                :class="'verdict-' + item.outcome">{{ signs[item.outcome] }}</span>
              <span class="quiet">example {{ item.index }}</span>
              <span class="quiet">{{ page.metric }} {{ score(item.value) }}<template
                v-if="item.against_value !== null">,
                {{ page.against }} {{ score(item.against_value) }}</template></span>
            </div>
            <dl>
              <template v-if="item.prompt !== null"><dt>prompt</dt>
              <dd class="text-wrap mono">{{ item.prompt }}</dd></template>
              <template v-if="item.expected !== null"><dt>expected</dt>
              <dd class="text-wrap mono">{{ item.expected }}</dd></template>
              <template v-if="item.answer !== null"><dt>{{ candidate }}</dt>
              <dd class="text-wrap mono">{{ shown(item.answer) }}</dd></template>
              <template v-if="item.against_answer !== null"><dt>{{ page.against }}</dt>
                <dd class="text-wrap mono">{{ shown(item.against_answer) }}</dd></template>
            </dl>
          </li>
        </ol>
        <p v-if="items.length && !answered" class="quiet flush small">
          Answers are kept of the finalists' validation and test only.</p>
        <button v-if="page.next !== null" type="button" class="button button-quiet" :disabled="busy"
          @click="more">
          More ({{ count(page.total - items.length) }} left)</button>
      </template>
    </section>`,
  data: () => ({ page: null, items: [], error: null, busy: false, outcomes: OUTCOMES, signs: SIGNS }),
  computed: {
    asked() {
      return JSON.stringify([this.candidate, this.against, this.task, this.split, this.outcome]);
    },
    answered() {
      return this.items.some((item) => item.answer !== null);
    },
    nothing() {
      if (!this.page.counts.examples) return `Not scored on the ${this.split} split.`;
      return (
        { won: "It wins no example.", lost: "It loses no example." }[this.outcome] ??
        "Both score alike on all examples."
      );
    },
  },
  watch: { asked: { handler: "load", immediate: true } },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    count,
    plural,
    score,
    shown(answer) {
      return answer === "" ? "(nothing)" : answer;
    },
    /** Without another one that has scores on the same examples, all are shown. */
    async fetch(query) {
      const address = path("runs", this.run, "examples", this.candidate);
      const asked = {
        against: this.against,
        task: this.task,
        split: this.split,
        limit: PAGE,
        wait_s: 0,
        ...query,
      };
      const found = await get(withQuery(address, { ...asked, outcome: this.against ? this.outcome : "all" }));
      if (found.against || found.total || !found.counts.examples) return found;
      return await get(withQuery(address, { ...asked, outcome: "all" }));
    },
    async load() {
      clearTimeout(this.timer);
      const asked = this.asked;
      try {
        const page = await this.fetch({
          limit: Math.max(PAGE, Math.min(this.again ? this.items.length : 0, 200)),
        });
        if (asked !== this.asked) return;
        this.page = page;
        this.items = page.items;
        this.error = null;
        this.again = page.texts.state === "preparing";
        if (this.again) this.timer = setTimeout(this.load, AGAIN_MS);
      } catch (error) {
        if (asked === this.asked) this.error = error;
      }
    },
    async more() {
      const asked = this.asked;
      this.busy = true;
      try {
        const page = await this.fetch({ after: this.page.next });
        if (asked === this.asked) {
          this.page = page;
          this.items = [...this.items, ...page.items];
        }
      } catch (error) {
        this.error = error;
      }
      this.busy = false;
    },
  },
};
