// The jobs of the service: runs and exports, what may be done about them, and downloads.

import { choose, chosen } from "evomerge/address.js";
import { get, mayOperate, path, withQuery } from "evomerge/api.js";
import { poll } from "evomerge/poll.js";
import JobLog from "evomerge/parts/job_log.js";
import JobRow from "evomerge/parts/job_row.js";
import Problem from "evomerge/parts/problem.js";
import StateFilter from "evomerge/parts/state_filter.js";

const STATES = ["queued", "running", "paused", "finished", "failed", "cancelled"];
const KINDS = ["run", "export", "talk"];
const PAGE = 50;
const MOST = 200;

export default {
  components: { JobLog, JobRow, Problem, StateFilter },
  template: `
    <div class="view">
      <div class="row-line">
        <h1>Jobs and exports</h1>
        <span class="space"></span>
        <a class="button button-first" href="/new">New run</a>
      </div>
      <div class="row-line">
        <select class="field" v-model="kind" aria-label="Kind of jobs">
          <option value="">All jobs</option>
          <option value="run">Runs</option>
          <option value="export">Exports</option>
          <option value="talk">Talks</option>
        </select>
        <StateFilter :states="states" v-model="wanted" label="Only jobs that are" />
        <button v-if="run" type="button" class="button" @click="run = ''">Of one run <span
          aria-hidden="true">×</span>
          <span class="sr-only">show those of all runs</span></button>
      </div>
      <Problem :error="error" />
      <div v-if="operator === false"
        class="notice">Your token only lets you look: jobs are changed by operators.</div>
      <section class="card" aria-label="Jobs">
        <div v-if="items === null && !error"><q-skeleton v-for="n in 4" :key="n" type="text" height="32px"
          /></div>
        <div v-else-if="items && !items.length" class="empty">
          <template v-if="kind || run || wanted.length">
            No job is so. <button type="button" class="link"
              @click="kind = ''; run = ''; wanted = []">Show all jobs</button>
          </template>
          <template v-else>
            Nothing was submitted yet. <a
              href="/new">Begin a run</a>, or export a candidate from its page. Runs that the
            command line drives aren't jobs: they stand among the <a href="/">runs</a>.
          </template>
        </div>
        <div v-else-if="items" class="table-wrap">
          <table class="plain runs">
            <thead>
              <tr>
                <th scope="col">Job</th>
                <th scope="col">State</th>
                <th scope="col" class="hide-narrow">Submitted</th>
                <th scope="col" class="number hide-narrow">Changed</th>
                <th scope="col" class="number hide-narrow" title="Larger ones begin first">Priority</th>
                <th scope="col"><span class="sr-only">Actions</span></th>
              </tr>
            </thead>
            <tbody>
              <JobRow v-for="job in items" :key="job.job_id" :job="job" :operator="operator" @done="load"
                @error="error = $event" @log="logged = job" />
            </tbody>
          </table>
        </div>
        <div v-if="next" class="row-line more">
          <button type="button" class="button" @click="shown += 50; load()">Show more jobs</button>
        </div>
      </section>
      <JobLog :job="logged" @close="logged = null" />
    </div>`,
  data() {
    const { one, all } = chosen();
    return {
      states: STATES,
      kind: KINDS.includes(one("kind")) ? one("kind") : "",
      run: one("run"),
      wanted: all("state").filter((state) => STATES.includes(state)),
      items: null,
      next: null,
      shown: PAGE,
      operator: null,
      error: null,
      logged: null,
    };
  },
  watch: {
    kind: "chooseOthers",
    run: "chooseOthers",
    wanted: "chooseOthers",
  },
  async mounted() {
    this.leave = poll(this.load, 3000);
    this.operator = await mayOperate().catch(() => false);
  },
  unmounted() {
    this.leave?.();
  },
  methods: {
    chooseOthers() {
      choose({ kind: this.kind, run: this.run, state: this.wanted });
      this.shown = PAGE;
      this.load();
    },
    async load() {
      const turn = (this.turn = (this.turn ?? 0) + 1);
      try {
        const items = [];
        let cursor = null;
        do {
          const limit = Math.min(MOST, this.shown - items.length);
          const query = { kind: this.kind, run: this.run, state: this.wanted, limit, cursor };
          const page = await get(withQuery(path("jobs"), query));
          items.push(...page.jobs);
          cursor = page.next;
        } while (cursor && items.length < this.shown);
        if (turn !== this.turn) return; // another filter was chosen meanwhile
        this.items = items;
        this.next = cursor;
        if (this.error === this.unread) this.error = null;
      } catch (error) {
        if (turn === this.turn) this.error = this.unread = error;
      }
    },
  },
};
