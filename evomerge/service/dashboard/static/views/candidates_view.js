// All candidates of a run as a list: filtered, sorted and paged by the service.

import { choose, chosen } from "evomerge/address.js";
import { get, path, withQuery } from "evomerge/api.js";
import { count, plural } from "evomerge/format.js";
import CandidateFilters from "evomerge/parts/candidate_filters.js";
import CandidateTable from "evomerge/parts/candidate_table.js";
import PinnedBar, { togglePin } from "evomerge/parts/pinned_bar.js";
import Problem from "evomerge/parts/problem.js";

const LISTS = ["status", "where"];
const WORDS = ["split", "kind", "origin", "text", "parent", "starred", "sort", "cursor"];
const PAGE = 50;

export default {
  components: { CandidateFilters, CandidateTable, PinnedBar, Problem },
  props: { run: String },
  template: `
    <section class="view" aria-labelledby="candidates-title">
      <h2 id="candidates-title" class="sr-only">Candidates</h2>
      <CandidateFilters v-if="known" :query="query" :objectives="known" :splits="splits" @change="change" />
      <Problem :error="error" />
      <PinnedBar :run="run" :pinned="pinned" @change="repin" />
      <div class="card">
        <p class="card-title quiet" role="status">
          <span v-if="page">{{ plural(page.total, "candidate") }}{{ filtered ? "" : " in all" }}</span>
          <button v-if="filtered" class="link" type="button" @click="clear">Remove all filters</button>
        </p>
        <CandidateTable
          v-if="page && known && page.items.length" :run="run" :items="page.items" :objectives="known"
          :sort="query.sort" :pinned="pinned" :split="query.split" @sort="(sort) => change({ sort })" @pin="pin" />
        <p v-else-if="page && known" class="empty">
          {{ filtered ? "No candidate fits the filters." : "The search has proposed no candidate yet." }}</p>
        <q-skeleton v-else-if="!error" height="320px" square />
        <nav v-if="page && (query.cursor || page.next)" class="row-line pages" aria-label="Pages of the list">
          <button class="button" type="button" :disabled="!query.cursor" @click="turn('')">First</button>
          <button class="button" type="button" :disabled="!before.length" @click="back">Previous</button>
          <button class="button" type="button" :disabled="!page.next" @click="forth">Next</button>
          <span v-if="before.length || !query.cursor" class="quiet">{{ place }}</span>
        </nav>
      </div>
    </section>`,
  data() {
    return { page: null, known: null, splits: ["search"], error: null, before: [], ...this.read() };
  },
  computed: {
    filtered() {
      const { kind, origin, parent, starred, status, text, where } = this.query;
      return Boolean(kind || origin || parent || starred || status.length || text || where.length);
    },
    place() {
      const first = this.before.length * PAGE;
      return `${count(first + 1)} to ${count(first + this.page.items.length)} of ${count(this.page.total)}`;
    },
  },
  async mounted() {
    window.addEventListener("evomerge:changed", this.load);
    window.addEventListener("popstate", this.reread);
    await Promise.all([this.load(), this.learn()]);
  },
  unmounted() {
    window.removeEventListener("evomerge:changed", this.load);
    window.removeEventListener("popstate", this.reread);
  },
  methods: {
    plural,
    read() {
      const { one, all } = chosen();
      const words = WORDS.map((key) => [key, one(key)]);
      const lists = LISTS.map((key) => [key, all(key)]);
      return { query: Object.fromEntries([...words, ...lists]), pinned: all("pin") };
    },
    reread() {
      Object.assign(this, this.read(), { before: [] });
      this.load();
    },
    async load() {
      const asked = (this.asked = {});
      try {
        const wanted = { ...this.query, limit: PAGE };
        const page = await get(withQuery(path("runs", this.run, "candidates"), wanted));
        if (asked !== this.asked) return;
        Object.assign(this, { page: Object.freeze(page), error: null });
      } catch (error) {
        if (asked === this.asked) Object.assign(this, { page: null, error });
      }
    },
    /** Ask which objectives and splits there are. */
    async learn() {
      try {
        const front = await get(withQuery(path("runs", this.run, "front"), { points: 32, others: 0 }));
        Object.assign(this, { known: front.known, splits: front.splits });
      } catch (error) {
        Object.assign(this, { known: [], error });
      }
    },
    /** Take over a filter or an order, and begin at the first page. */
    change(changes) {
      Object.assign(this.query, changes, { cursor: "" });
      this.before = [];
      this.show();
    },
    clear() {
      const lists = Object.fromEntries(LISTS.map((key) => [key, []]));
      this.change({ ...lists, kind: "", origin: "", text: "", parent: "", starred: "" });
    },
    turn(cursor) {
      this.query.cursor = cursor;
      if (!cursor) this.before = [];
      this.show();
    },
    forth() {
      this.before.push(this.query.cursor);
      this.turn(this.page.next);
    },
    back() {
      this.turn(this.before.pop());
    },
    pin(candidate) {
      this.repin(togglePin(this.pinned, candidate));
    },
    repin(pinned) {
      this.pinned = pinned;
      choose({ ...this.query, pin: pinned });
    },
    show() {
      choose({ ...this.query, pin: this.pinned });
      this.load();
    },
  },
};
