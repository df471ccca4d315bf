// The points of a front as a list: all that the chart shows can be reached by keyboard here.

import { nameOf } from "evomerge/charts/front_points.js";
import { count, interval, score } from "evomerge/format.js";
import { MOST } from "evomerge/parts/pinned_bar.js";
import RemarkMarks from "evomerge/parts/remark_marks.js";
import { remarksOf } from "evomerge/remarks.js";

const STEP = 50;
const KINDS = [
  ["front", "On the front"],
  ["landmarks", "Base, sources, starts"],
  ["others", "Others"],
];
const SIGNS = { front: "●", landmarks: "◆", others: "·" };

export default {
  components: { RemarkMarks },
  props: {
    run: String,
    /** Points to list, of all that the chart has. */
    points: Array,
    all: Array,
    objectives: Array,
    chosen: { type: String, default: null },
    pinned: Array,
  },
  emits: ["choose", "pin"],
  template: `
    <section class="card front-list" aria-labelledby="front-list-title">
      <div class="card-title">
        <h3 id="front-list-title">Points</h3>
        <label class="labelled"><span class="sr-only">Which points</span>
          <select class="field" v-model="kind">
            <option v-for="[value, word] in kinds" :key="value" :value="value">
              {{ word }} ({{ counts(value) }})</option>
          </select>
        </label>
      </div>
      <div class="table-wrap">
        <table class="plain" v-if="sorted.length">
          <thead><tr>
            <th class="pick-cell" scope="col"><span class="sr-only">Pick for a comparison</span></th>
            <th scope="col">Candidate</th>
            <th v-for="item in objectives" :key="item.name" class="number" scope="col"
              :aria-sort="order.name === item.name ? (order.up ? 'ascending' : 'descending') : null">
              <button class="link" type="button" @click="sortBy(item)">{{ item.name }}
                <span aria-hidden="true">{{ arrow(item) }}</span></button>
            </th>
          </tr></thead>
          <tbody>
            <tr v-for="point in sorted.slice(0, most)" :key="point.candidate"
              :class="{ chosen: point.candidate === chosen }">
              <td class="pick-cell"><input type="checkbox"
                :aria-label="'Pick ' + point.candidate + ' for a comparison'" :checked="pinned.includes(point.candidate)" :disabled="full(point.candidate)"
                @change="$emit('pin', point.candidate)"></td>
              <td>
                <button class="link mono" type="button" :aria-pressed="point.candidate === chosen"
                  @click="$emit('choose', point.candidate)">
                  <span :class="'sign sign-' + point.kind" aria-hidden="true">{{ signs[point.kind] }}</span>
                  {{ point.candidate }}</button><RemarkMarks :remark="remarks[point.candidate]" />
                <div v-if="note(point)" class="quiet small">{{ note(point) }}</div>
              </td>
              <td v-for="item in objectives" :key="item.name" class="number"
                :title="interval(point.numbers[item.name])">{{ score(point.numbers[item.name].value) }}</td>
            </tr>
          </tbody>
        </table>
      </div>
      <p v-if="!sorted.length" class="quiet">
        None{{ points.length < all.length ? " in the chosen ranges" : "" }}.</p>
      <button v-if="sorted.length > most" class="link" type="button" @click="most += ${STEP}">
        Show more ({{ count(sorted.length - most) }} left)</button>
    </section>`,
  data: () => ({ kind: "front", order: { name: null, up: false }, most: STEP, kinds: KINDS, signs: SIGNS }),
  computed: {
    remarks() {
      return remarksOf(this.run);
    },
    sorted() {
      const found = this.points.filter((point) => point.kind === this.kind);
      const { name, up } = this.order;
      if (name === null || !this.objectives.some((item) => item.name === name)) return found;
      const key = (point) => point.numbers[name].value ?? (up ? Infinity : -Infinity);
      return found.sort((a, b) => (up ? key(a) - key(b) : key(b) - key(a)));
    },
  },
  methods: {
    count,
    interval,
    score,
    arrow({ name }) {
      if (this.order.name !== name) return "";
      return this.order.up ? "↑" : "↓";
    },
    counts(kind) {
      return count(this.points.filter((point) => point.kind === kind).length);
    },
    full(candidate) {
      return this.pinned.length >= MOST && !this.pinned.includes(candidate);
    },
    note(point) {
      const missed = point.feasible ? [] : ["misses a constraint"];
      const origin = point.kind === "landmarks" ? [nameOf(point.origin)] : [];
      return [...origin, ...point.marks, ...missed].join(", ");
    },
    sortBy({ name, direction }) {
      const same = this.order.name === name;
      this.order = { name, up: same ? !this.order.up : direction === "minimize" };
    },
  },
};
