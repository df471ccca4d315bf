// Archives of the best model of each kind: cells, how they filled, and who is in them.

import { choose, chosen } from "evomerge/address.js";
import { drawArchiveCourse } from "evomerge/charts/archive_course.js";
import { drawCells } from "evomerge/charts/cells.js";
import { compact, count, percent, score } from "evomerge/format.js";
import CandidateLink, { candidatePage } from "evomerge/parts/candidate_link.js";
import ChartBox from "evomerge/parts/chart_box.js";
import ChooseOne from "evomerge/parts/choose_one.js";

const FEW = 20;

export default {
  components: { CandidateLink, ChartBox, ChooseOne },
  props: { run: String, archives: Array },
  template: `
    <p v-if="!archive" class="card empty">The archive is empty: no result has joined it yet.</p>
    <div v-else class="view">
      <div v-if="archives.length > 1 || archive.axes.length > 2" class="row-line">
        <ChooseOne v-if="archives.length > 1" v-model="quality" :options="qualities" label="Best by" />
        <template v-if="archive.axes.length > 2">
          <ChooseOne v-model="across" :options="axisNames" label="From left to right" />
          <ChooseOne v-model="up" :options="axisNames" label="From bottom to top" />
        </template>
      </div>
      <dl class="card figures">
        <div><dt>best by</dt><dd>{{ archive.quality }}</dd></div>
        <div>
          <dt>cells taken</dt><dd>{{ count(archive.occupants.length) }} of {{ count(archive.n_cells) }}</dd>
        </div>
        <div><dt>coverage</dt><dd>{{ percent(archive.coverage) }}</dd></div>
        <div v-if="archive.occupants.length">
          <dt>best</dt><dd>{{ score(archive.occupants[0].quality) }}</dd>
        </div>
        <div v-if="archive.qd_score !== null"><dt>QD-score</dt><dd>{{ compact(archive.qd_score) }}</dd></div>
      </dl>
      <section class="card" aria-labelledby="cells-title">
        <div class="card-title">
          <h2 id="cells-title">The best of each kind</h2>
          <span v-if="archive.axes.length > 2" class="quiet">of cells behind each other the best shows</span>
        </div>
        <ChartBox :key="shape" :draw="drawCells" :data="archive" :options="options" height="420px" />
      </section>
      <div class="grid">
        <section class="card" aria-labelledby="filled-title">
          <div class="card-title"><h2 id="filled-title">Cells taken over the search</h2></div>
          <ChartBox v-if="archive.course.length" :draw="drawArchiveCourse" :data="filled"
            :options="filledOptions" height="260px" />
          <p v-else class="empty">No result has joined yet.</p>
        </section>
        <section class="card" aria-labelledby="bests-title">
          <div class="card-title"><h2 id="bests-title">Best over the search</h2></div>
          <ChartBox v-if="archive.course.length" :draw="drawArchiveCourse" :data="bests"
            :options="{ title: archive.quality }" height="260px" />
          <p v-else class="empty">No result has joined yet.</p>
        </section>
      </div>
      <section v-if="archive.occupants.length" class="card" aria-labelledby="occupants-title">
        <div class="card-title"><h2 id="occupants-title">Who is in the cells</h2></div>
        <div class="table-wrap" tabindex="0" role="region" aria-labelledby="occupants-title">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">candidate</th><th scope="col" class="number">{{ archive.quality }}</th>
                <th v-for="axis in archive.axes" :key="axis.name" scope="col" class="number">
                  {{ axis.name }}</th>
              </tr>
            </thead>
            <tbody>
              <tr v-for="item in shown" :key="item.cell.join()">
                <td>
                  <CandidateLink :run="run" :candidate="item.candidate" />
                  <span v-if="item.banned" class="quiet"> banned</span>
                </td>
                <td class="number">{{ score(item.quality) }}</td>
                <td v-for="(value, i) in item.measures" :key="i" class="number">{{ compact(value) }}</td>
              </tr>
            </tbody>
          </table>
        </div>
        <q-btn v-if="rest" flat dense no-caps color="primary" :label="'Show ' + count(rest) + ' more'"
          @click="all = true" />
      </section>
    </div>`,
  data() {
    const { one } = chosen();
    return {
      quality: one("archive") || this.archives[0]?.quality,
      across: one("x"),
      up: one("y"),
      all: false,
      filledOptions: { title: "cells taken" },
    };
  },
  computed: {
    archive() {
      return this.archives.find((item) => item.quality === this.quality) ?? this.archives[0];
    },
    qualities() {
      return this.archives.map((item) => [item.quality, item.quality]);
    },
    axisNames() {
      return this.archive.axes.map((axis) => [axis.name, axis.name]);
    },
    axes() {
      const names = this.archive.axes.map((axis) => axis.name);
      const first = Math.max(0, names.indexOf(this.across));
      const second = names.indexOf(this.up);
      if (names.length === 1) return [0];
      return [first, second >= 0 && second !== first ? second : names.findIndex((_, i) => i !== first)];
    },
    options() {
      return { axes: this.axes, onPick: (candidate) => location.assign(candidatePage(this.run, candidate)) };
    },
    /** Kinds of charts can't follow one another in one place. */
    shape() {
      return `${this.axes.length} ${this.archive.quality}`;
    },
    filled() {
      return this.line("cells taken", "occupied");
    },
    bests() {
      return this.line(this.archive.quality, "best");
    },
    shown() {
      return this.all ? this.archive.occupants : this.archive.occupants.slice(0, FEW);
    },
    rest() {
      return this.archive.occupants.length - this.shown.length;
    },
  },
  watch: {
    quality: "keep",
    across: "keep",
    up: "keep",
  },
  methods: {
    compact,
    count,
    drawArchiveCourse,
    drawCells,
    percent,
    score,
    line(name, field) {
      const { course } = this.archive;
      const values = course.map((stage) => stage[field]);
      return [{ name, results: course.map((stage) => stage.result), values }];
    },
    keep() {
      const first = this.quality === this.archives[0].quality ? "" : this.quality;
      choose({ archive: first, x: this.across, y: this.up });
    },
  },
};
