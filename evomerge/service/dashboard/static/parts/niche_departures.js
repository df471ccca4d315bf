// Who left an archive last, for whom, and which niches went with them.

import { count, plural } from "evomerge/format.js";
import CandidateLink from "evomerge/parts/candidate_link.js";

const FEW = 8;

export default {
  components: { CandidateLink },
  props: { run: String, niches: Object },
  template: `
    <section class="card" aria-labelledby="departures-title">
      <div class="card-title">
        <h2 id="departures-title">Who left last</h2>
        <span v-if="stillborn" class="quiet">{{ count(stillborn) }} more never stayed</span>
      </div>
      <p v-if="!left.length" class="empty">Nobody has left a place in the archive yet.</p>
      <div v-else class="table-wrap" tabindex="0" role="region" aria-labelledby="departures-title">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col" class="number">result</th><th scope="col">left</th><th scope="col">for</th>
              <th scope="col">its niche</th>
            </tr>
          </thead>
          <tbody>
            <tr v-for="item in left.slice(0, few)" :key="item.result">
              <td class="number">{{ count(item.result) }}</td>
              <td><CandidateLink :run="run" :candidate="item.candidate" /></td>
              <td><CandidateLink :run="run" :candidate="item.newcomer" /></td>
              <td>{{ item.niche.length ? plural(item.niche.length, "example") : "none" }}</td>
            </tr>
          </tbody>
        </table>
      </div>
    </section>`,
  data: () => ({ few: FEW }),
  computed: {
    /** Those that had stayed for a while, the last first. */
    left() {
      return this.niches.departures.filter((item) => item.candidate !== item.newcomer).reverse();
    },
    stillborn() {
      return this.niches.departures.length - this.left.length;
    },
  },
  methods: { count, plural },
};
