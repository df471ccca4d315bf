// A run as a row of the table of runs.

import { compact, count, duration, plural, rate, score, when } from "evomerge/format.js";
import ProgressBar from "evomerge/parts/progress_bar.js";
import Sparkline from "evomerge/parts/sparkline.js";

const MOST_OBJECTIVES = 3;

export default {
  components: { ProgressBar, Sparkline },
  props: {
    run: { type: Object, required: true },
    picked: Boolean,
    /** Two are chosen already. */
    full: Boolean,
  },
  emits: ["pick"],
  template: `
    <tr>
      <td class="tick">
        <input type="checkbox" :checked="picked" :disabled="(full && !picked) || run.state === 'unreadable'"
          :aria-label="'Compare ' + run.name" @change="$emit('pick')" />
      </td>
      <td class="run-name">
        <a class="text-wrap" :href="'/runs/' + run.run_id">{{ run.name }}</a>
        <div class="only-narrow small"><span class="state"
          :class="'state-' + run.state">{{ run.state }}</span></div>
        <div class="quiet small text-wrap" v-if="run.folder !== run.name">{{ run.folder }}</div>
        <div class="small" v-if="run.starred.length"><span class="mark-star" aria-hidden="true">★</span>
          {{ plural(run.starred.length, "star") }}</div>
      </td>
      <td class="hide-narrow">
        <span class="state" :class="'state-' + run.state">{{ run.state }}</span>
        <div class="quiet small text-wrap clip" v-if="run.message || run.reason" :title="run.message">
          {{ run.message || run.reason }}</div>
      </td>
      <td><ProgressBar :progress="run.progress" /></td>
      <td class="number">
        <div v-for="[name, value] in best" :key="name">
          <span class="quiet small">{{ name }}</span> {{ score(value) }}
        </div>
        <div v-if="hidden" class="quiet small">and {{ count(hidden) }} more</div>
        <span v-if="!best.length" class="quiet">–</span>
      </td>
      <td class="hide-narrow"><Sparkline :course="run.course" :budget="run.progress?.budget" /></td>
      <td class="number hide-narrow">
        {{ rate(run.candidates_per_s) }}
        <div class="quiet small"
          v-if="run.eta_s && run.state === 'running'">{{ duration(run.eta_s) }} left</div>
      </td>
      <td class="number hide-narrow">{{ duration(run.device_s) }}</td>
      <td class="number hide-narrow">{{ compact(run.cost) }}</td>
      <td class="number hide-narrow">{{ when(run.started_s) }}</td>
    </tr>`,
  computed: {
    best() {
      return Object.entries(this.run.best).slice(0, MOST_OBJECTIVES);
    },
    hidden() {
      return Object.keys(this.run.best).length - this.best.length;
    },
  },
  methods: { compact, count, duration, plural, rate, score, when },
};
