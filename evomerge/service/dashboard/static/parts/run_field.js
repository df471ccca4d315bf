// One key of a run file as a field: a text, a number or a choice, with its help and what is wrong with it.

import FieldProblems from "evomerge/parts/field_problems.js";
import { keyOf } from "evomerge/parts/run_file_keys.js";
import { schemaOf } from "evomerge/parts/run_file_schema.js";
import TypedInput from "evomerge/parts/typed_input.js";
import { scalarOf } from "evomerge/parts/yaml_write.js";

export default {
  components: { FieldProblems, TypedInput },
  inject: ["file"],
  props: {
    path: { type: Array, required: true },
    label: { type: String, required: true },
    choices: { type: Array, default: null }, // [{name, summary}]
    fallback: { type: String, default: "" }, // shown where the key is absent
    bare: Boolean, // in a table: the label is only heard
  },
  template: `
    <div class="run-field" :class="{ 'run-field-wrong': wrong.length }">
      <label :for="id" :class="{ 'sr-only': bare }">{{ label }}</label>
      <select v-if="options" :id="id" :value="value" :aria-invalid="wrong.length > 0" :aria-describedby="told"
          @change="commit($event.target.value)">
        <option v-for="item in options" :value="item.value">{{ item.text }}</option>
      </select>
      <TypedInput v-else type="text" :id="id" :value="shown" :placeholder="byDefault" spellcheck="false"
          autocomplete="off" :aria-invalid="wrong.length > 0" :aria-describedby="told" @commit="commit" />
      <div v-if="wrong.length || help" :id="id + '-told'">
        <FieldProblems :problems="wrong" />
        <p v-if="help" class="field-help">{{ help }}</p>
      </div>
    </div>`,
  computed: {
    id() {
      return `field-${keyOf(this.path)}`;
    },
    told() {
      return this.wrong.length || this.help ? `${this.id}-told` : null;
    },
    schema() {
      return schemaOf(this.file.schema, this.path);
    },
    help() {
      return this.schema.description ?? "";
    },
    isAny() {
      return this.schema.type !== "string";
    },
    value() {
      return this.file.yaml.value(...this.path) ?? "";
    },
    shown() {
      return typeof this.value === "object" ? "(see the text)" : String(this.value);
    },
    byDefault() {
      return this.fallback || (this.schema.default ?? "").toString();
    },
    wrong() {
      return this.file.problemsAt(keyOf(this.path));
    },
    options() {
      const known = this.choices ?? this.schema.enum?.map((name) => ({ name }));
      if (!known) return null;
      const items = known.map(({ name, summary }) => ({
        value: name,
        text: summary ? `${name} – ${summary}` : name,
      }));
      if (this.value !== "" && !known.some(({ name }) => name === this.value)) {
        items.unshift({ value: this.value, text: String(this.value) });
      }
      const none = this.byDefault ? `${this.byDefault} (default)` : "–";
      const others = items.filter((item) => item.value !== this.byDefault || item.value === this.value);
      return [{ value: "", text: none }, ...others];
    },
  },
  methods: {
    commit(text) {
      const trimmed = text.trim();
      if (trimmed === "") this.file.remove(this.path);
      else this.file.set(this.path, this.isAny ? scalarOf(trimmed) : trimmed);
    },
  },
};
