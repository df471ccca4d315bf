// The models of a run file: sources by name, and which of them is the base.

import { freeName } from "evomerge/parts/run_file_keys.js";
import FieldProblems from "evomerge/parts/field_problems.js";
import RunField from "evomerge/parts/run_field.js";

export default {
  components: { FieldProblems, RunField },
  inject: ["file"],
  template: `
    <section class="card" aria-labelledby="models-title">
      <div class="card-title"><h2 id="models-title">Models</h2>
        <span class="quiet">paths are the server's, or names on the hub</span></div>
      <FieldProblems :problems="file.problemsExactly('sources')" />
      <table class="plain form-table" v-if="names.length">
        <thead><tr><th scope="col">Base</th><th scope="col">Name</th><th scope="col">Path</th>
          <th scope="col"><span class="sr-only">Remove</span></th></tr></thead>
        <tbody>
          <tr v-for="name in names" :key="name">
            <td class="narrow"><input type="radio" name="base" :checked="base === name"
              :aria-label="name + ' is the base'" @change="file.set(['base'], name)"></td>
            <td><div class="run-field"><input type="text" :value="name" :aria-label="'Name of ' + name"
              spellcheck="false" @change="rename(name, $event.target)"></div></td>
            <td><RunField :path="['sources', name, 'path']" :label="'Path of ' + name" bare /></td>
            <td class="narrow"><button type="button" class="remove" :aria-label="'Remove ' + name"
            @click="remove(name)">×</button></td>
          </tr>
        </tbody>
      </table>
      <p v-else class="quiet">No sources yet.</p>
      <FieldProblems :problems="file.problemsExactly('base')" />
      <button type="button" class="link" @click="add">+ Add a source</button>
    </section>`,
  computed: {
    names() {
      return this.file.yaml.keys("sources");
    },
    base() {
      return this.file.yaml.value("base");
    },
  },
  methods: {
    add() {
      const name = freeName("model", this.names);
      this.file.set(["sources", name], { path: `models/${name}` });
    },
    rename(name, input) {
      const now = input.value.trim();
      if (!now || this.names.includes(now)) {
        input.value = name;
        return;
      }
      const yaml = this.file.yaml;
      this.file.change([
        yaml.rename(["sources", name], now),
        ...(this.base === name ? [yaml.set(["base"], now)] : []),
        ...this.stages().map(([index, inputs]) => yaml.set(
          ["recipe", "parameters", index, "inputs"], inputs.map((item) => (item === name ? now : item)),
        )),
      ]);
    },
    remove(name) {
      const yaml = this.file.yaml;
      this.file.change([
        yaml.remove(["sources", name]),
        ...(this.base === name ? [yaml.remove(["base"])] : []),
        ...this.stages().filter(([, inputs]) => inputs.includes(name)).map(([index, inputs]) => yaml.set(
          ["recipe", "parameters", index, "inputs"], inputs.filter((item) => item !== name),
        )),
      ]);
    },
    /** Return [number, inputs] of the stages whose inputs are written out. */
    stages() {
      const found = this.file.yaml.value("recipe", "parameters");
      if (!Array.isArray(found)) return [];
      const all = found.map((stage, index) => [index, stage?.inputs]);
      return all.filter(([, inputs]) => Array.isArray(inputs));
    },
  },
};
