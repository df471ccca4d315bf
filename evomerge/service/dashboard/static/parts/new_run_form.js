// A run file as a form; every change goes into the text beside it.

import FieldProblems from "evomerge/parts/field_problems.js";
import Merging from "evomerge/parts/new_run_merging.js";
import Models from "evomerge/parts/new_run_models.js";
import Tasks from "evomerge/parts/new_run_tasks.js";
import RunField from "evomerge/parts/run_field.js";
import TypedInput from "evomerge/parts/typed_input.js";

const SEARCH = [
  [["search", "budget"], "Budget, in candidates"],
  [["search", "options", "population"], "Population"],
  [["search", "finalists"], "Finalists"],
  [["search", "seed"], "Seed"],
  [["search", "mode"], "Mode"],
];
const EXECUTION = [
  [["execution", "workers"], "Workers"],
  [["execution", "device"], "Device"],
  [["execution", "threads"], "Threads a worker"],
];

export default {
  components: { FieldProblems, Merging, Models, RunField, Tasks, TypedInput },
  inject: ["file"],
  template: `
    <div class="view">
      <section class="card" aria-labelledby="run-title">
        <div class="card-title"><h2 id="run-title">Run</h2></div>
        <RunField :path="['name']" label="Name" />
        <div class="run-field">
          <label for="plugins">Plug-in files, separated by commas</label>
          <TypedInput id="plugins" type="text" :value="file.plugins.join(', ')" placeholder="none" spellcheck="false"
            autocomplete="off" aria-describedby="plugins-told" @commit="plug" />
          <div id="plugins-told"><FieldProblems :problems="file.problemsAt('plugins')" />
            <p class="field-help">Python files on the server, of those that it allows.</p></div>
        </div>
      </section>
      <template v-if="network">
        <section class="card">This run evolves a small network from scratch, which is set in the text, under
          <code>network</code>.</section>
      </template>
      <template v-else><Models /><Merging /></template>
      <Tasks />
      <section class="card" aria-labelledby="search-title">
        <div class="card-title"><h2 id="search-title">Search</h2></div>
        <RunField :path="['search', 'searcher']" label="Searcher" :choices="searchers" />
        <div class="run-fields">
          <RunField v-for="[path, label] in search" :key="label" :path="path" :label="label" />
        </div>
        <FieldProblems :problems="rest('search', search)" keys />
      </section>
      <section class="card" aria-labelledby="execution-title">
        <div class="card-title"><h2 id="execution-title">Where it runs</h2></div>
        <div class="run-fields">
          <RunField :path="['execution', 'executor']" label="Executor" :choices="executors" />
          <RunField v-for="[path, label] in execution" :key="label" :path="path" :label="label" />
        </div>
        <FieldProblems :problems="rest('execution', execution)" keys />
      </section>
    </div>`,
  data: () => ({ search: SEARCH, execution: EXECUTION }),
  computed: {
    executors() {
      return this.file.choices?.executors.map((name) => ({ name }));
    },
    network() {
      return this.file.yaml.value("network") != null;
    },
    searchers() {
      const { yaml } = this.file;
      const several = yaml.keys("objectives").length > 1 && yaml.value("search", "scalarise") == null;
      return this.file.choices?.searchers.filter((item) => item.several || !several);
    },
  },
  methods: {
    plug(text) {
      this.file.plugins = text.split(",").map((part) => part.trim()).filter(Boolean);
    },
    /** Return what is wrong in a block but not in one of its fields. */
    rest(block, fields) {
      const shown = [...fields.map(([path]) => path.join(".")), "search.searcher", "execution.executor"];
      return this.file.problemsAt(block).filter((item) => !shown.includes(item.key));
    },
  },
};
