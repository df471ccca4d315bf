// A job as a row: what it is, how it stands, what may be done about it.

import { path, send } from "evomerge/api.js";
import { bytes, count, when } from "evomerge/format.js";
import AskFirst from "evomerge/parts/ask_first.js";

export default {
  components: { AskFirst },
  props: { job: { type: Object, required: true }, operator: { type: Boolean, default: null } },
  emits: ["done", "error", "log"],
  template: `
    <tr>
      <td class="run-name">
        <template v-if="job.kind === 'export'">
          <span class="text-wrap">{{ job.name }}</span>
          <div class="quiet small">{{ job.format }} export of <a
            :href="candidate">{{ job.candidate }}</a></div>
        </template>
        <a v-else class="text-wrap"
          :href="'/runs/' + job.run_id + (job.kind === 'talk' ? '/talk' : '')">{{ job.name }}</a>
        <div v-if="job.kind === 'talk'" class="quiet small">prompts to its models</div>
      </td>
      <td>
        <span class="state" :class="'state-' + job.state">{{ job.state }}</span>
        <span v-if="going" class="quiet small"> {{ going }}</span>
        <div v-if="job.message" class="quiet small text-wrap clip"
          :title="job.message">{{ job.message }}</div>
        <ul v-if="job.problems.length" class="small problems">
          <li v-for="item in job.problems" class="text-wrap"><code
            v-if="item.key">{{ item.key }}</code> {{ item.message }}</li>
        </ul>
      </td>
      <td class="hide-narrow">{{ when(job.submitted_s) }} <span
        class="quiet">by {{ job.submitted_by }}</span></td>
      <td class="number hide-narrow">{{ when(job.changed_s) }}</td>
      <td class="number hide-narrow">
        <span v-if="job.state !== 'queued' || !operator">{{ count(job.priority) }}</span>
        <input v-else class="field priority" type="number" step="1" min="-1000" max="1000"
          :value="job.priority"
          :aria-label="'Priority of ' + job.name" @change="change($event.target.value)" />
      </td>
      <td>
        <div class="row-line job-actions">
          <a v-if="job.download" class="button button-small" :href="job.download.url" download>Download
            <span class="quiet">{{ bytes(job.download.bytes) }}</span></a>
          <button v-for="[name, label] in actions" :key="name" type="button" class="button button-small"
            :disabled="!operator || busy"
            @click="name === 'cancel' ? (asking = true) : act(name)">{{ label }}
            <span class="sr-only">{{ job.name }}</span></button>
          <button type="button" class="button button-small" @click="$emit('log')">Log
            <span class="sr-only">of {{ job.name }}</span></button>
        </div>
        <AskFirst v-model="asking" title="Cancel this job?" button="Cancel it" danger @yes="act('cancel')">
          <p class="flush text-wrap">{{ job.name }} ends without waiting for what is running.
            {{ job.kind === "run" ? "All that was finished is kept, and it can be resumed." : "" }}</p>
        </AskFirst>
      </td>
    </tr>`,
  data: () => ({ busy: false, asking: false }),
  computed: {
    going() {
      const { state, wanted } = this.job;
      if (!["queued", "running"].includes(state)) return "";
      return { pause: "pausing…", cancel: "being cancelled…" }[wanted] ?? "";
    },
    candidate() {
      return `/runs/${this.job.run_id}/candidates/${encodeURIComponent(this.job.candidate)}`;
    },
    actions() {
      const { kind, state } = this.job;
      const found = [];
      if (kind === "run" && ["queued", "running"].includes(state)) found.push(["pause", "Pause"]);
      if (["paused", "failed", "cancelled"].includes(state)) found.push(["resume", "Resume"]);
      if (["queued", "running", "paused"].includes(state)) found.push(["cancel", "Cancel…"]);
      if (kind === "run") found.push(["clone", "Clone"]);
      return found;
    },
  },
  methods: {
    bytes,
    count,
    when,
    act(name) {
      const body = name === "clone" ? {} : undefined;
      return this.ask(() => send("POST", path("jobs", this.job.job_id, name), body));
    },
    change(text) {
      const priority = Math.round(Number(text));
      return this.ask(() => send("PATCH", path("jobs", this.job.job_id), { priority }));
    },
    async ask(request) {
      this.busy = true;
      this.$emit("error", null);
      try {
        await request();
      } catch (error) {
        this.$emit("error", error);
      }
      this.busy = false;
      this.$emit("done");
    },
  },
};
