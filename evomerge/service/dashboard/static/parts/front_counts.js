// How many candidates a front's chart shows, how many it doesn't, and why.

import { withQuery } from "evomerge/api.js";
import { pointsOf } from "evomerge/charts/front_points.js";
import { count, plural } from "evomerge/format.js";

export default {
  props: { picture: Object, run: String, beyond: { type: Number, default: 0 } },
  template: `
    <p class="card-title quiet front-counts">
      <span><strong>{{ count(c.front) }}</strong> on the front{{ frontShown }}</span>
      <span v-if="endless">{{ plural(endless, "point") }} can't be drawn: a score isn't finite</span>
      <span v-if="c.others">{{ plural(c.others, "other") }}{{ othersShown }}</span>
      <a v-if="c.failed" :href="list('failed')">{{ count(c.failed) }} failed</a>
      <span v-if="c.pending && picture.split === 'search'">{{ count(c.pending) }} not scored yet</span>
      <span v-if="beyond">{{ count(beyond) }} beyond the chart's edges; double-click it to see all</span>
    </p>`,
  computed: {
    c() {
      return this.picture.counts;
    },
    frontShown() {
      const { front, front_shown: shown } = this.c;
      return shown < front ? `, the ${count(shown)} that shape it most are shown` : "";
    },
    othersShown() {
      const { others, others_shown: shown } = this.c;
      return shown < others ? `, a sample of ${count(shown)} is shown` : "";
    },
    endless() {
      return this.c.front_shown - pointsOf(this.picture, "front").candidates.length;
    },
  },
  methods: {
    count,
    plural,
    list(status) {
      const { split } = this.picture;
      return withQuery(`/runs/${encodeURIComponent(this.run)}/candidates`, {
        status,
        split: split === "search" ? null : split,
      });
    },
  },
};
