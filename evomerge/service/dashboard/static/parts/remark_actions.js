// Buttons that star, pin or ban a candidate, and its notes with a field for a new one.

import { mayOperate } from "evomerge/api.js";
import { when } from "evomerge/format.js";
import AskFirst from "evomerge/parts/ask_first.js";
import Problem from "evomerge/parts/problem.js";
import { changeRemark, remarksOf, writeNote } from "evomerge/remarks.js";

const VIEWER = "Your token only lets you look. An operator's may remark.";

export default {
  components: { AskFirst, Problem },
  props: { run: String, candidate: String, kind: String },
  template: `
    <div class="view" role="group" aria-label="Remarks">
      <div class="row-line">
        <button v-for="item in actions" type="button" class="button button-quiet" :aria-pressed="item.on"
          :disabled="!operator || busy" :title="operator ? item.title : reason" @click="toggle(item)">
          <span aria-hidden="true">{{ item.sign }}</span> {{ item.label }}</button>
        <form class="row-line note-form" @submit.prevent="write">
          <input v-model="text" class="input" maxlength="2000" placeholder="A note on it"
            aria-label="A note on it"
            :disabled="!operator || busy" />
          <button type="submit" class="button button-quiet"
            :disabled="!operator || busy || !text.trim()">Write</button>
        </form>
        <span v-if="operator === false" class="quiet small">{{ reason }}</span>
        <span class="quiet" role="status">{{ said }}</span>
      </div>
      <Problem :error="error" />
      <ul v-if="notes.length" class="notes">
        <li v-for="note in notes"><span class="quiet">{{ when(note.made_s) }}</span>
          <span class="text-wrap">{{ note.text }}</span></li>
      </ul>
      <AskFirst v-model="asking" :title="'Ban ' + candidate + '?'" button="Ban it" danger
        @yes="change({ banned: true })">
        <p class="flush">Its recipe is never chosen nor scored again. That can be taken back.</p>
      </AskFirst>
    </div>`,
  data: () => ({
    text: "",
    error: null,
    busy: false,
    said: "",
    operator: null,
    asking: false,
    reason: VIEWER,
  }),
  computed: {
    remark() {
      return (
        remarksOf(this.run)[this.candidate] ?? { starred: false, pinned: false, banned: false, notes: [] }
      );
    },
    notes() {
      return this.remark.notes;
    },
    actions() {
      const { starred, pinned, banned } = this.remark;
      const star = {
        key: "starred",
        on: starred,
        sign: starred ? "★" : "☆",
        label: starred ? "Starred" : "Star",
      };
      star.title = "Remember it: the star shows everywhere";
      // A ban or pin means something only for what the search has proposed.
      if (this.kind !== "search") return [star];
      return [
        star,
        {
          key: "pinned",
          on: pinned,
          sign: "⚑",
          label: pinned ? "Pinned" : "Pin",
          title: "Always among the finalists",
        },
        {
          key: "banned",
          on: banned,
          sign: "⊘",
          label: banned ? "Banned" : "Ban",
          title: "Never chosen again",
        },
      ];
    },
  },
  async mounted() {
    this.operator = await mayOperate().catch(() => false);
  },
  methods: {
    when,
    toggle(item) {
      if (item.key === "banned" && !item.on) this.asking = true;
      else this.change({ [item.key]: !item.on });
    },
    change(changes) {
      return this.doing(() => changeRemark(this.run, this.candidate, changes));
    },
    async write() {
      if (await this.doing(() => writeNote(this.run, this.candidate, this.text))) this.text = "";
    },
    async doing(action) {
      this.busy = true;
      this.error = null;
      this.said = "";
      try {
        this.said = await action();
        return true;
      } catch (error) {
        this.error = error;
        return false;
      } finally {
        this.busy = false;
      }
    },
  },
};
