// How models are merged: the stages of a run file's recipe, each with its method and inputs.

import FieldProblems from "evomerge/parts/field_problems.js";
import RunField from "evomerge/parts/run_field.js";
import { inLine } from "evomerge/parts/yaml_write.js";

const SHOWN = ["method", "inputs", "name", "base"];

export default {
  components: { FieldProblems, RunField },
  inject: ["file"],
  template: `
    <section class="card" aria-labelledby="merging-title">
      <div class="card-title"><h2 id="merging-title">Merging</h2>
        <span v-if="routed" class="quiet">and a route through layers (dataflow), set in the text</span></div>
      <div v-for="(stage, index) in stages" class="form-part">
        <div v-if="stages.length > 1" class="row-line">
          <h3>Stage {{ stage?.name ?? index + 1 }}</h3><span class="space"></span>
          <button type="button" class="remove" :aria-label="'Remove stage ' + (index + 1)"
            @click="file.remove(at(index))">×</button>
        </div>
        <RunField :path="at(index, 'method')" label="Method" :choices="file.choices?.methods" />
        <fieldset class="run-field">
          <legend>Inputs</legend>
          <label v-for="name in inputsOf(index)" class="check"><input type="checkbox"
            :checked="(stage?.inputs ?? []).includes(name)" @change="toggle(index, name)"> {{ name }}</label>
          <FieldProblems :problems="file.problemsAt('recipe.parameters[' + index + '].inputs')" />
        </fieldset>
        <dl v-if="restOf(stage).length" class="settings">
          <template v-for="[key, value] in restOf(stage)">
            <dt>{{ key }}</dt><dd><code>{{ value }}</code></dd></template>
        </dl>
        <FieldProblems :problems="restProblems(index)" keys />
      </div>
      <RunField :path="['recipe', 'dtype']" label="Number format" fallback="the base's" />
    </section>`,
  computed: {
    stages() {
      const found = this.file.yaml.value("recipe", "parameters");
      return Array.isArray(found) ? found : [];
    },
    routed() {
      return this.file.yaml.value("dataflow") != null;
    },
  },
  methods: {
    at: (index, ...keys) => ["recipe", "parameters", index, ...keys],
    /** Return what a stage may take: sources, stages before it, and whatever it names already. */
    inputsOf(index) {
      const before = this.stages.slice(0, index).map((stage) => stage?.name).filter(Boolean);
      const base = this.file.yaml.value("base");
      const mine = this.stages[index]?.inputs;
      const named = Array.isArray(mine) ? mine : [];
      const sources = this.file.yaml.keys("sources").filter((name) => name !== base || named.includes(name));
      return [...new Set([...sources, ...before, ...named])];
    },
    toggle(index, name) {
      const now = this.stages[index]?.inputs ?? [];
      const wanted = (item) => (item === name ? !now.includes(name) : now.includes(item));
      this.file.set(this.at(index, "inputs"), this.inputsOf(index).filter(wanted));
    },
    restOf(stage) {
      const rest = Object.entries(stage ?? {}).filter(([key]) => !SHOWN.includes(key));
      return rest.map(([key, value]) => [key, inLine(value)]);
    },
    restProblems(index) {
      const place = `recipe.parameters[${index}]`;
      const fields = ["method", "inputs"].map((key) => `${place}.${key}`);
      return this.file.problemsAt(place).filter((item) => !fields.some((key) => item.key.startsWith(key)));
    },
  },
};
