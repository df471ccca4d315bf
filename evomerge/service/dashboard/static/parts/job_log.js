// What a job's processes printed, in a window over the page.

import { get, path } from "evomerge/api.js";
import Problem from "evomerge/parts/problem.js";

export default {
  components: { Problem },
  props: { job: { type: Object, default: null } },
  emits: ["close"],
  template: `
    <q-dialog :model-value="job !== null" @update:model-value="$emit('close')" aria-label="Log of a job">
      <q-card class="ask wide" v-if="job">
        <h2 class="text-wrap">Log of {{ job.name }}</h2>
        <Problem :error="error" />
        <q-skeleton v-if="text === null && !error" type="text" />
        <p v-else-if="text === ''" class="flush quiet">It has printed nothing.</p>
        <pre v-else class="log" tabindex="0">{{ text }}</pre>
        <div class="ask-buttons">
          <a class="button" :href="'/runs/' + job.run_id">To its run</a>
          <button type="button" class="button" @click="load">Read again</button>
          <button type="button" class="button" @click="$emit('close')">Close</button>
        </div>
      </q-card>
    </q-dialog>`,
  data: () => ({ text: null, error: null }),
  watch: {
    job() {
      this.text = null;
      if (this.job) this.load();
    },
  },
  methods: {
    async load() {
      this.error = null;
      try {
        this.text = await get(path("jobs", this.job.job_id, "log"));
      } catch (error) {
        this.error = error;
      }
    },
  },
};
