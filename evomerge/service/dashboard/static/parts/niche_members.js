// The members of an archive as a table, the fittest first.

import { compact, count, score } from "evomerge/format.js";
import CandidateLink from "evomerge/parts/candidate_link.js";

const FEW = 20;

export default {
  components: { CandidateLink },
  props: { run: String, niches: Object },
  template: `
    <section class="card" aria-labelledby="members-title">
      <div class="card-title">
        <h2 id="members-title">Members</h2>
        <span class="quiet">better and worse: than each of its parents</span>
      </div>
      <div class="table-wrap" tabindex="0" role="region" aria-labelledby="members-title">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">candidate</th><th scope="col">parents</th>
              <th scope="col" class="number">joined at</th><th scope="col" class="number">mean</th>
              <th scope="col" class="number">fitness</th><th scope="col" class="number">best on</th>
              <th scope="col" class="number">alone best on</th><th scope="col" class="number">better on</th>
              <th scope="col" class="number">worse on</th>
            </tr>
          </thead>
          <tbody>
            <tr v-for="item in shown" :key="item.candidate">
              <td>
                <CandidateLink :run="run" :candidate="item.candidate" />
                <span v-if="item.banned" class="quiet"> banned</span>
              </td>
              <td>
                <template v-for="(parent, i) in item.parents" :key="i">
                  <span v-if="i"> × </span><CandidateLink :run="run" :candidate="parent" />
                </template>
                <template v-if="!item.parents.length">–</template>
              </td>
              <td class="number">{{ count(item.joined) }}</td>
              <td class="number">{{ score(item.mean) }}</td>
              <td class="number">{{ compact(item.fitness) }}</td>
              <td class="number">{{ count(item.wins) }}</td>
              <td class="number">{{ count(item.alone.length) }}</td>
              <td class="number">{{ count(item.gained.length) }}</td>
              <td class="number">{{ count(item.lost.length) }}</td>
            </tr>
          </tbody>
        </table>
      </div>
      <q-btn v-if="rest" flat dense no-caps color="primary" :label="'Show ' + count(rest) + ' more'"
        @click="all = true" />
    </section>`,
  data: () => ({ all: false }),
  computed: {
    shown() {
      return this.all ? this.niches.members : this.niches.members.slice(0, FEW);
    },
    rest() {
      return this.niches.members.length - this.shown.length;
    },
  },
  methods: { compact, count, score },
};
