// Why candidates of a run failed, how many, and the last ones that did.

import { get, path, withQuery } from "evomerge/api.js";
import { count, percent, when } from "evomerge/format.js";
import CandidateLink from "evomerge/parts/candidate_link.js";
import Problem from "evomerge/parts/problem.js";

const LAST = 8;

export default {
  components: { CandidateLink, Problem },
  props: {
    run: { type: String, required: true },
    detail: { type: Object, required: true },
    metrics: { type: Object, required: true },
  },
  template: `
    <section class="card">
      <h2 class="card-title">Failures
        <a v-if="metrics.failures.length" class="small"
          :href="'/runs/' + run + '/candidates?status=failed'">all
          {{ count(detail.progress.failed) }} candidates</a></h2>
      <p v-if="!metrics.failures.length" class="quiet flush">No candidate has failed.</p>
      <template v-else>
        <div class="table-wrap" tabindex="0" role="group" aria-label="Reasons of failures">
          <table class="plain">
            <thead><tr><th scope="col">Reason</th><th scope="col">Message</th><th scope="col"
              class="number">Candidates</th></tr></thead>
            <tbody>
              <tr v-for="item in metrics.failures" :key="item.kind + item.message">
                <td><code>{{ item.kind }}</code></td>
                <td class="text-wrap">{{ item.message }}</td>
                <td class="number">{{ count(item.candidates) }}
                  <span class="quiet">{{ percent(item.candidates / detail.progress.evaluated) }}</span></td>
              </tr>
            </tbody>
          </table>
        </div>
        <h3 class="card-title more">The last that failed</h3>
        <Problem :error="error" />
        <ul class="last">
          <li v-for="item in last" :key="item.candidate">
            <CandidateLink :run="run" :candidate="item.candidate" />
            <span class="quiet">{{ item.failure ? item.failure.kind : "" }} {{ when(item.finished_s) }}</span>
          </li>
        </ul>
      </template>
    </section>`,
  data: () => ({ last: [], error: null }),
  watch: {
    "detail.progress.failed": { handler: "load", immediate: true },
  },
  methods: {
    count,
    percent,
    when,
    async load() {
      if (!this.detail.progress.failed) return;
      const query = { status: "failed", sort: "-finished", limit: LAST };
      try {
        this.last = (await get(withQuery(path("runs", this.run, "candidates"), query))).items;
        this.error = null;
      } catch (error) {
        this.error = error;
      }
    },
  },
};
