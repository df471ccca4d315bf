// What may be done about a run: pause, stop, resume, extend; with the reason where it may not.

import { mayOperate, path, send } from "evomerge/api.js";
import AskFirst from "evomerge/parts/ask_first.js";
import Problem from "evomerge/parts/problem.js";

const VIEWER = "Your token only lets you look. An operator's may pause, stop and resume runs.";

export default {
  components: { AskFirst, Problem },
  props: {
    /** The run's detail; null while its job waits. */
    run: { type: Object, default: null },
    /** The job that makes it, where one does. */
    job: { type: Object, default: null },
  },
  emits: ["done"],
  template: `
    <div class="row-line run-actions" role="group" aria-label="Actions">
      <span v-if="asked" class="quiet" role="status">{{ asked }}</span>
      <template v-for="item in actions" :key="item.name">
        <button type="button" class="button" :class="{ 'button-danger': item.danger }"
          :disabled="!operator || busy"
          :title="operator ? item.title : reason"
            @click="item.ask ? open(item.name) : act(item.name)">{{ item.label }}</button>
      </template>
      <span v-if="operator === false && actions.length" class="quiet small">{{ reason }}</span>
      <AskFirst v-model="stopping" title="Stop this run now?" button="Stop it" danger @yes="act('cancel')">
        <p
          class="flush">Candidates that are being evaluated are left; all that was finished is kept, and the
          run can be
        resumed. Pause it to let them finish.</p>
      </AskFirst>
      <AskFirst v-model="extending" title="Evaluate more candidates?" button="Go on"
        @yes="act('resume', { budget })">
        <label>Candidates in all
          <input class="field" type="number" v-model.number="budget" :min="least" step="1" /></label>
        <p class="flush quiet">It has evaluated {{ least - 1 }}. The finalists are chosen anew at the end.</p>
      </AskFirst>
      <Problem :error="error" />
    </div>`,
  data: () => ({
    operator: null,
    reason: VIEWER,
    busy: false,
    asked: "",
    error: null,
    stopping: false,
    extending: false,
    budget: 0,
  }),
  computed: {
    state() {
      return this.job && !["finished", "failed", "cancelled", "paused"].includes(this.job.state)
        ? this.job.state
        : (this.run?.state ?? this.job?.state);
    },
    least() {
      return (this.run?.progress?.evaluated ?? 0) + 1;
    },
    actions() {
      const pause = { name: "pause", label: "Pause", title: "What is being evaluated is finished first" };
      const ends = "End it without waiting";
      const stop = { name: "cancel", label: "Stop…", title: ends, ask: true, danger: true };
      const resume = { name: "resume", label: "Resume", title: "Go on where it stopped" };
      const extend = { name: "extend", label: "Extend…", title: "Evaluate more candidates", ask: true };
      if (["running", "queued"].includes(this.state)) return [pause, stop];
      if (this.state === "finished") return [extend];
      return this.state === "unreadable" ? [] : [resume];
    },
  },
  watch: {
    state() {
      this.asked = "";
    },
  },
  async mounted() {
    this.operator = await mayOperate().catch(() => false);
  },
  methods: {
    open(name) {
      if (name === "cancel") this.stopping = true;
      else {
        this.budget = 2 * (this.run.progress?.budget ?? 0);
        this.extending = true;
      }
    },
    async act(name, body) {
      const run = this.run?.run_id ?? this.job.run_id;
      this.busy = true;
      this.error = null;
      try {
        await send("POST", path("runs", run, name), body);
        this.asked = { pause: "asked to pause…", cancel: "asked to stop…", resume: "it begins again…" }[name];
      } catch (error) {
        this.error = error;
      }
      this.busy = false;
      this.$emit("done");
    },
  },
};
