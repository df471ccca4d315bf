// The archive of a run: niches on examples, cells, or why there is none.

import { get, path } from "evomerge/api.js";
import { Live } from "evomerge/live.js";
import CellArchives from "evomerge/parts/cell_archives.js";
import ExampleNiches from "evomerge/parts/example_niches.js";
import Problem from "evomerge/parts/problem.js";

export default {
  mixins: [Live],
  components: { CellArchives, ExampleNiches, Problem },
  props: { run: String },
  template: `
    <section class="view" aria-labelledby="niches-title">
      <h2 id="niches-title" class="sr-only">Niches</h2>
      <Problem :error="error" />
      <q-skeleton v-if="!niches && !error" height="420px" square />
      <template v-if="niches">
        <div v-if="niches.kind === 'none'" class="card empty">
          <p>This run has no niches to show.</p>
          <p>{{ niches.reason }}</p>
        </div>
        <ExampleNiches v-else-if="niches.kind === 'examples'" :run="run" :niches="niches.examples" />
        <CellArchives v-else :run="run" :archives="niches.cells" />
      </template>
    </section>`,
  data: () => ({ niches: null, error: null }),
  methods: {
    async load() {
      try {
        this.niches = Object.freeze(await get(path("runs", this.run, "niches")));
        this.error = null;
      } catch (error) {
        this.error = error;
      }
    },
  },
};
