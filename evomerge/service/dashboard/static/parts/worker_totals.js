// What each worker did over the whole run: attempts, failures by kind, its time.

import { count, duration, percent } from "evomerge/format.js";
import TimeSplit from "evomerge/parts/time_split.js";

export default {
  components: { TimeSplit },
  props: { totals: { type: Array, required: true } },
  template: `
    <section class="card">
      <h2 class="card-title">By worker <span class="quiet small">all that ever worked on this run</span></h2>
      <p v-if="!totals.length" class="quiet flush">No attempt was made yet.</p>
      <div v-else class="table-wrap" tabindex="0" role="group" aria-label="Totals by worker">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col" class="number">Attempts</th>
              <th scope="col" class="number">Failed</th>
              <th scope="col" class="number">Lost</th>
              <th scope="col">Reasons</th>
              <th scope="col" class="number">Busy</th>
              <th scope="col" class="number">Utilisation</th>
              <th scope="col">Its time</th>
            </tr>
          </thead>
          <tbody>
            <tr v-for="item in totals" :key="item.worker">
              <td>{{ item.worker || "none: the scores were known" }}</td>
              <td class="number">{{ count(item.attempts) }}</td>
              <td class="number">{{ count(item.failed) }} <span v-if="item.failed"
                class="quiet">{{ percent(item.failed / item.attempts) }}</span></td>
              <td class="number">{{ count(item.lost) }}</td>
              <td class="text-wrap">{{ reasons(item) }}</td>
              <td class="number">{{ duration(busy(item)) }}</td>
              <td class="number">{{ percent(item.utilisation) }}</td>
              <td class="split-cell"><TimeSplit :seconds="item.seconds" /></td>
            </tr>
          </tbody>
        </table>
      </div>
    </section>`,
  methods: {
    count,
    duration,
    percent,
    reasons({ failures }) {
      return Object.entries(failures).map(([kind, n]) => `${kind} ${count(n)}`).join(", ") || "–";
    },
    busy({ seconds }) {
      return Object.entries(seconds).reduce((sum, [part, s]) => (part === "wait" ? sum : sum + s), 0);
    },
  },
};
