// An archive whose members compete for examples: map, course, attraction, members, departures.

import { drawArchiveCourse } from "evomerge/charts/archive_course.js";
import { drawAttraction } from "evomerge/charts/attraction.js";
import { drawNicheMap } from "evomerge/charts/niche_map.js";
import { count, score } from "evomerge/format.js";
import { candidatePage } from "evomerge/parts/candidate_link.js";
import ChartBox from "evomerge/parts/chart_box.js";
import NicheDepartures from "evomerge/parts/niche_departures.js";
import NicheMembers from "evomerge/parts/niche_members.js";
import NichePairs from "evomerge/parts/niche_pairs.js";

export default {
  components: { ChartBox, NicheDepartures, NicheMembers, NichePairs },
  props: { run: String, niches: Object },
  template: `
    <p v-if="!niches.members.length" class="card empty">
      The archive is empty: no result has joined it yet.</p>
    <div v-else class="view">
      <dl class="card figures">
        <div><dt>members</dt><dd>{{ count(niches.members.length) }}</dd></div>
        <div><dt>examples</dt><dd>{{ count(examples) }}</dd></div>
        <div><dt>covered together</dt><dd>{{ score(niches.coverage) }}</dd></div>
        <div><dt>best single member</dt><dd>{{ score(best) }}</dd></div>
        <div><dt>left so far</dt><dd>{{ count(niches.n_departures) }}</dd></div>
      </dl>
      <section class="card" aria-labelledby="map-title">
        <div class="card-title">
          <h2 id="map-title">Who covers what</h2>
          <span class="quiet">{{ how }}</span>
        </div>
        <ChartBox :draw="drawNicheMap" :data="niches" :options="picks" />
      </section>
      <div class="grid">
        <section class="card" aria-labelledby="course-title">
          <div class="card-title"><h2 id="course-title">Coverage over the search</h2></div>
          <ChartBox :draw="drawArchiveCourse" :data="course" :options="courseOptions" height="300px" />
        </section>
        <NicheDepartures :run="run" :niches="niches" />
      </div>
      <NicheMembers :run="run" :niches="niches" />
      <div class="grid">
        <section v-if="niches.members.length > 1" class="card" aria-labelledby="attraction-title">
          <div class="card-title">
            <h2 id="attraction-title">Who would attract whom now</h2>
            <span class="quiet">what a second parent adds to the first; numbers are children they had</span>
          </div>
          <ChartBox :draw="drawAttraction" :data="niches" />
        </section>
        <NichePairs :run="run" :pairs="niches.pairs" />
      </div>
    </div>`,
  data() {
    return {
      picks: { onPick: (candidate, task) => location.assign(candidatePage(this.run, candidate, { task })) },
      courseOptions: { title: "mean score" },
    };
  },
  computed: {
    examples() {
      return this.niches.parts.reduce((n, part) => n + part.n, 0);
    },
    best() {
      return Math.max(...this.niches.members.map((member) => member.mean));
    },
    how() {
      const { columns, scores } = this.niches.map;
      const left = this.niches.members.length - scores.length;
      const rows = left > 0 ? `, without the ${count(left)} least fit members` : "";
      return columns.length < this.examples
        ? `the fittest first; a column is the mean of like examples${rows}`
        : `the fittest first; a column is an example${rows}`;
    },
    course() {
      const { course } = this.niches;
      const results = course.map((moment) => moment.result);
      return [
        { name: "covered together", results, values: course.map((moment) => moment.coverage) },
        { name: "best single member", results, values: course.map((moment) => moment.best) },
      ];
    },
  },
  methods: { count, drawArchiveCourse, drawAttraction, drawNicheMap, score },
};
