// All runs of the workspace as a table, and the jobs that have no run yet.

import { choose, chosen } from "evomerge/address.js";
import { get, path, withQuery } from "evomerge/api.js";
import { plural } from "evomerge/format.js";
import { poll } from "evomerge/poll.js";
import Problem from "evomerge/parts/problem.js";
import RunRow from "evomerge/parts/run_row.js";
import StateFilter from "evomerge/parts/state_filter.js";
import WaitingJobs from "evomerge/parts/waiting_jobs.js";

const STATES = ["running", "finished", "stopped", "failed", "interrupted", "unreadable"];
const PAGE = 50;
const MOST = 200;

export default {
  components: { Problem, RunRow, StateFilter, WaitingJobs },
  template: `
    <div class="view">
      <div class="row-line">
        <h1>Runs</h1>
        <span class="space"></span>
        <a class="button" href="/jobs">Jobs and exports</a>
        <a class="button button-first" href="/new">New run</a>
      </div>
      <div class="row-line">
        <input class="field" type="search" v-model="text" placeholder="Name" aria-label="Part of a run's name"
          />
        <StateFilter :states="states" v-model="wanted" label="Only runs that are" />
        <span class="space"></span>
        <span class="quiet" v-if="picked.length"
          role="status">{{ plural(picked.length, "run") }} of two chosen</span>
        <a v-if="picked.length === 2" class="button" :href="comparison">Compare these two</a>
        <button v-if="picked.length" type="button" class="button" @click="picked = []">Choose none</button>
      </div>
      <Problem :error="error" />
      <WaitingJobs :runs="items" :complete="!next && !text && !wanted.length" />
      <section class="card" aria-label="Runs">
        <div v-if="items === null && !error">
          <q-skeleton v-for="n in 4" :key="n" type="text" height="32px" />
        </div>
        <div v-else-if="items && !items.length" class="empty">
          <template v-if="text || wanted.length">
            No run is so. <button type="button" class="link"
              @click="text = ''; wanted = []">Show all runs</button>
          </template>
          <template v-else>
            There are no runs here yet. <a
              href="/new">Begin one</a>, or start it in this folder: <code>evomerge run FILE</code>.
          </template>
        </div>
        <div v-else-if="items" class="table-wrap">
          <table class="plain runs">
            <thead>
              <tr>
                <th scope="col" class="tick"><span class="sr-only">To compare</span></th>
                <th scope="col">Run</th>
                <th scope="col" class="hide-narrow">State</th>
                <th scope="col">Progress</th>
                <th scope="col" class="number">Best so far</th>
                <th scope="col" class="hide-narrow">Course</th>
                <th scope="col" class="number hide-narrow">Speed</th>
                <th scope="col" class="number hide-narrow">Device time</th>
                <th scope="col" class="number hide-narrow">Cost</th>
                <th scope="col" class="number hide-narrow">Begun</th>
              </tr>
            </thead>
            <tbody>
              <RunRow v-for="run in items" :key="run.run_id" :run="run" :picked="picked.includes(run.run_id)"
                :full="picked.length >= 2" @pick="pick(run.run_id)" />
            </tbody>
          </table>
        </div>
        <div v-if="next" class="row-line more">
          <button type="button" class="button" @click="showMore">Show more runs</button>
        </div>
      </section>
    </div>`,
  data() {
    const { one, all } = chosen();
    return {
      states: STATES,
      text: one("text"),
      wanted: all("state").filter((state) => STATES.includes(state)),
      picked: all("pick").slice(0, 2),
      items: null,
      next: null,
      shown: PAGE,
      error: null,
    };
  },
  computed: {
    comparison() {
      return withQuery("/compare", { run: this.picked });
    },
  },
  watch: {
    text() {
      clearTimeout(this.typing);
      this.typing = setTimeout(this.chooseOthers, 250);
    },
    wanted() {
      this.chooseOthers();
    },
    picked() {
      this.keep();
    },
  },
  mounted() {
    this.leave = poll(this.load, 4000);
  },
  unmounted() {
    clearTimeout(this.typing);
    this.leave?.();
  },
  methods: {
    plural,
    keep() {
      choose({ text: this.text, state: this.wanted, pick: this.picked });
    },
    chooseOthers() {
      this.keep();
      this.shown = PAGE;
      this.load();
    },
    async load() {
      const turn = (this.turn = (this.turn ?? 0) + 1);
      try {
        const found = await this.pages();
        if (turn !== this.turn) return; // another filter was chosen meanwhile
        [this.items, this.next] = found;
        this.error = null;
      } catch (error) {
        if (turn === this.turn) this.error = error;
      }
    },
    async pages() {
      const items = [];
      let cursor = null;
      do {
        const limit = Math.min(MOST, this.shown - items.length);
        const query = { text: this.text, state: this.wanted, limit, cursor };
        const page = await get(withQuery(path("runs"), query));
        items.push(...page.items);
        cursor = page.next;
      } while (cursor && items.length < this.shown);
      return [items, cursor];
    },
    async showMore() {
      this.shown += PAGE;
      await this.load();
    },
    pick(run) {
      const others = this.picked.filter((item) => item !== run);
      this.picked = others.length < this.picked.length ? others : [...others, run].slice(-2);
    },
  },
};
