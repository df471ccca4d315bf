// Who had children with whom, over the whole search.

import { count } from "evomerge/format.js";
import CandidateLink from "evomerge/parts/candidate_link.js";

const FEW = 12;

export default {
  components: { CandidateLink },
  props: { run: String, pairs: Array },
  template: `
    <section class="card" aria-labelledby="pairs-title">
      <div class="card-title">
        <h2 id="pairs-title">Who attracted whom</h2>
        <span class="quiet">pairs with the most children</span>
      </div>
      <p v-if="!pairs.length" class="empty">No two candidates have had children yet.</p>
      <div v-else class="table-wrap" tabindex="0" role="region" aria-labelledby="pairs-title">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">first parent</th><th scope="col">attracted by</th>
              <th scope="col" class="number">children</th><th scope="col" class="number">in the archive</th>
            </tr>
          </thead>
          <tbody>
            <tr v-for="pair in pairs.slice(0, few)" :key="pair.first + ' ' + pair.second">
              <td><CandidateLink :run="run" :candidate="pair.first" /></td>
              <td><CandidateLink :run="run" :candidate="pair.second" /></td>
              <td class="number">{{ count(pair.children) }}</td>
              <td class="number">{{ count(pair.living) }}</td>
            </tr>
          </tbody>
        </table>
      </div>
    </section>`,
  data: () => ({ few: FEW }),
  methods: { count },
};
