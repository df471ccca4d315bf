// Each try at scoring a candidate: where, how long, and why it failed.

import { duration, when } from "evomerge/format.js";

export default {
  props: { detail: Object },
  template: `
    <section class="card" aria-labelledby="attempts-title">
      <div class="card-title"><h2 id="attempts-title">Attempts</h2>
        <span class="quiet">{{ duration(detail.device_s) }} of devices<span v-if="detail.cost !== null">, cost
          {{ detail.cost.toFixed(2) }}</span></span></div>
      <p v-if="!detail.tries.length" class="quiet flush">{{ nothing }}</p>
      <div v-else class="table-wrap" tabindex="0" role="region" aria-label="Table of attempts"><table class="plain">
        <thead><tr>
          <th scope="col">split</th><th scope="col">state</th><th scope="col" class="number">merge</th>
          <th scope="col" class="number">score</th><th scope="col" class="number">tokenise</th>
          <th scope="col" class="number">wait</th><th scope="col">worker</th>
          <th scope="col" class="number">finished</th>
        </tr></thead>
        <tbody><tr v-for="item in detail.tries">
          <td>{{ item.split }}</td>
          <td><span class="state" :class="'state-' + item.status">{{ item.status }}</span></td>
          <td class="number">{{ duration(item.merge_s) }}</td>
          <td class="number">{{ duration(item.score_s) }}</td>
          <td class="number">{{ duration(item.tokenise_s) }}</td>
          <td class="number">{{ duration(item.wait_s) }}</td>
          <td>{{ item.worker }}</td><td class="number">{{ when(item.finished_s) }}</td>
        </tr></tbody>
      </table></div>
      <details v-for="item in failed">
        <summary>{{ item.split }}, try {{ item.number }}: {{ item.failure_kind }}</summary>
        <p class="text-wrap flush">{{ item.failure_message }}</p>
        <pre v-if="item.failure_detail" class="text-block" tabindex="0">{{ item.failure_detail }}</pre>
      </details>
    </section>`,
  computed: {
    failed() {
      return this.detail.tries.filter((item) => item.failure_kind);
    },
    nothing() {
      if (this.detail.status === "pending") return "It hasn't been scored yet.";
      return "Its scores were known already: the same recipe was scored before.";
    },
  },
  methods: { duration, when },
};
