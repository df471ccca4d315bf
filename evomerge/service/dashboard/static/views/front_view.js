// The front of a run: the chart, what is chosen in it, and the same points as a list.

import { get, path, withQuery } from "evomerge/api.js";
import { unplot } from "evomerge/chart.js";
import { drawFront, NOBODY, shapeOf } from "evomerge/charts/front.js";
import { isBrushed } from "evomerge/charts/front_parallel.js";
import { beyondPlane } from "evomerge/charts/front_plane.js";
import { listed, pointsOf } from "evomerge/charts/front_points.js";
import { plural } from "evomerge/format.js";
import CandidateSummary from "evomerge/parts/candidate_summary.js";
import FrontControls from "evomerge/parts/front_controls.js";
import FrontCounts from "evomerge/parts/front_counts.js";
import FrontList from "evomerge/parts/front_list.js";
import HoverCard from "evomerge/parts/hover_card.js";
import ParallelHint from "evomerge/parts/parallel_hint.js";
import PinnedBar, { togglePin } from "evomerge/parts/pinned_bar.js";
import Problem from "evomerge/parts/problem.js";
import { readChoice, writeChoice } from "evomerge/parts/front_choice.js";

const FEW = 40; // Intervals of more points than these hide the points.

export default {
  components: {
    CandidateSummary, FrontControls, FrontCounts, FrontList, HoverCard, ParallelHint, PinnedBar, Problem,
  },
  props: { run: String },
  template: `
    <section class="view front" :class="'front-' + shape" aria-labelledby="front-title">
      <h2 id="front-title" class="sr-only">Front</h2>
      <Problem :error="error" />
      <FrontControls
        v-if="picture" :picture="picture" :choice="choice" :intervals="intervals" @choose="choose" />
      <PinnedBar :run="run" :pinned="choice.pinned" @change="(pinned) => choose({ pinned })" />
      <div class="front-grid">
        <div class="card front-main">
          <FrontCounts v-if="picture" :picture="picture" :run="run" :beyond="beyond" />
          <div
            v-show="picture && drawable" ref="chart" class="front-chart" @mouseleave="hovered = null"></div>
          <q-skeleton v-if="!picture && !error" class="front-chart" square />
          <p v-if="picture && !drawable" class="empty">{{ nothing }}</p>
          <ParallelHint
            v-if="shape === 'parallel' && drawable" :picture="picture" :ranges="ranges"
            @clear="brush({}, true)" />
          <HoverCard ref="card" :point="hovered" :objectives="picture ? picture.objectives : []" :run="run" />
        </div>
        <div class="front-side view">
          <CandidateSummary
            v-if="picture && choice.chosen" :key="choice.chosen + split" :run="run" :candidate="choice.chosen"
            :split="split" :pinned="choice.pinned.includes(choice.chosen)" @pin="pin(choice.chosen)"
            @close="choose({ chosen: null })" @choose="pick" @parents="showParents" />
          <FrontList
            v-if="picture && listable" :run="run" :points="shown" :all="points" :chosen="choice.chosen"
            :objectives="picture.objectives" :pinned="choice.pinned" @choose="pick" @pin="pin" />
        </div>
      </div>
    </section>`,
  data() {
    return {
      picture: null,
      error: null,
      choice: readChoice(),
      hovered: null,
      parents: NOBODY,
      ranges: {},
      late: false, // What isn't needed for the first look comes after it.
    };
  },
  computed: {
    shape() {
      return this.picture ? shapeOf(this.picture, this.choice.shape) : "plane";
    },
    split() {
      return this.picture?.split ?? "search";
    },
    drawable() {
      return ["front", "others"].some((kind) => pointsOf(this.picture, kind).candidates.length > 0);
    },
    listable() {
      return this.picture.counts.front + this.picture.counts.others > 0;
    },
    nothing() {
      const { failed, pending } = this.picture.counts;
      const why = this.listable ? "No candidate has finite scores" : "No candidate is scored";
      const waiting = pending ? " The first results are on their way." : "";
      const rest = failed ? ` ${plural(failed, "candidate")} failed.` : waiting;
      return `${why} on the ${this.split} split yet.${rest}`;
    },
    intervals() {
      return this.choice.intervals ?? this.picture.counts.front_shown <= FEW;
    },
    points() {
      return this.late && this.picture ? Vue.markRaw(listed(this.picture)) : [];
    },
    shown() {
      if (this.shape === "parallel") return this.points.filter((point) => isBrushed(point, this.ranges));
      return this.points;
    },
    beyond() {
      return this.late && this.shape === "plane" && this.drawable ? beyondPlane(this.picture) : 0;
    },
  },
  async mounted() {
    window.addEventListener("evomerge:changed", this.refresh);
    window.addEventListener("popstate", this.reread);
    await this.load();
    performance.mark("evomerge:drawn");
    this.late = true;
  },
  unmounted() {
    window.removeEventListener("evomerge:changed", this.refresh);
    window.removeEventListener("popstate", this.reread);
    clearTimeout(this.timer);
    unplot(this.$refs.chart);
  },
  methods: {
    async load() {
      const began = performance.now();
      const { names, split } = this.choice;
      const asked = (this.asked = {});
      try {
        const address = withQuery(path("runs", this.run, "front"), { objective: names, split });
        const picture = await get(address);
        if (asked !== this.asked) return;
        this.picture = Object.freeze(picture);
        this.error = null;
        await this.$nextTick();
        await this.draw();
      } catch (error) {
        if (asked === this.asked) this.error = error;
      }
      this.took = performance.now() - began;
    },
    /** Look again; a large picture less often, so that the page stays quick. */
    refresh() {
      this.timer ??= setTimeout(async () => {
        await this.load();
        this.timer = null;
      }, 10 * (this.took ?? 0));
    },
    async draw() {
      if (!this.picture || !this.drawable) return;
      // Kinds of charts can't follow one another in one place, nor can parallel axes.
      const names = this.picture.objectives.map(({ name }) => name);
      const kind = this.shape === "parallel" ? names.join("\n") : this.shape;
      if (this.drawn !== kind) unplot(this.$refs.chart);
      this.drawn = kind;
      await drawFront(this.$refs.chart, this.picture, {
        shape: this.choice.shape,
        chosen: this.choice.chosen,
        parents: this.parents,
        pinned: this.choice.pinned,
        intervals: this.intervals,
        ranges: this.ranges,
        onHover: this.hover,
        onPick: this.pick,
        onBrush: this.brush,
      });
    },
    hover(candidate, event) {
      this.hovered = candidate ? (this.points.find((point) => point.candidate === candidate) ?? null) : null;
      if (this.hovered) this.$refs.card.place(event);
    },
    /** Take over what a control, the chart or the list has changed. */
    choose(changes) {
      const before = this.choice;
      this.choice = { ...before, ...changes };
      writeChoice(this.choice);
      this.follow(before);
    },
    reread() {
      const before = this.choice;
      this.choice = readChoice();
      this.follow(before);
    },
    follow(before) {
      if (before.chosen !== this.choice.chosen) this.parents = NOBODY;
      const same = `${before.names}` === `${this.choice.names}` && before.split === this.choice.split;
      if (!same || before.shape !== this.choice.shape) this.ranges = {};
      if (same) this.draw();
      else this.load();
    },
    pick(candidate) {
      this.choose({ chosen: candidate });
    },
    pin(candidate) {
      this.choose({ pinned: togglePin(this.choice.pinned, candidate) });
    },
    brush(ranges, redraw = false) {
      this.ranges = ranges;
      if (!redraw) return;
      unplot(this.$refs.chart);
      this.draw();
    },
    showParents(details) {
      const scores = (detail, name) => detail.objectives[this.split]?.[name]?.value;
      const column = ({ name }) => [name, details.map((detail) => scores(detail, name))];
      this.parents = {
        candidates: details.map(({ candidate }) => candidate),
        asks: details.map(({ ask }) => ask),
        value: Object.fromEntries(this.picture.objectives.map(column)),
      };
      if (details.length) this.draw();
    },
  },
};
