// What is measured and optimised: tasks, and the objectives made of them.

import { freeName } from "evomerge/parts/run_file_keys.js";
import FieldProblems from "evomerge/parts/field_problems.js";
import RunField from "evomerge/parts/run_field.js";

export default {
  components: { FieldProblems, RunField },
  inject: ["file"],
  template: `
    <section class="card" aria-labelledby="tasks-title">
      <div class="card-title"><h2 id="tasks-title">Tasks and objectives</h2></div>
      <div v-for="name in tasks" class="form-part" role="group" :aria-label="'Task ' + name">
        <div class="row-line"><h3>Task {{ name }}</h3><span class="space"></span>
          <button type="button" class="remove" :aria-label="'Remove task ' + name"
            @click="removeTask(name)">×</button></div>
        <div class="run-fields run-fields-task">
          <RunField :path="['evaluators', name, 'type']" label="Type" :choices="types" />
          <RunField v-if="has(name, 'task')" :path="['evaluators', name, 'task']" label="Benchmark" />
          <RunField v-else :path="['evaluators', name, 'data']" label="Data" fallback="FILE.jsonl" />
        </div>
        <FieldProblems :problems="restProblems(name)" keys />
      </div>
      <p v-if="!tasks.length" class="quiet">No tasks yet.</p>
      <button type="button" class="link" @click="addTask">+ Add a task</button>
      <div v-for="name in objectives" class="form-part" role="group" :aria-label="'Objective ' + name">
        <div class="row-line"><h3>Objective {{ name }}</h3><span class="space"></span>
          <button type="button" class="remove" :aria-label="'Remove objective ' + name"
            @click="file.remove(['objectives', name])">×</button></div>
        <fieldset class="run-field"><legend>Made of</legend>
          <label v-for="part in partsOf(name)" class="check"><input type="checkbox"
            :checked="from(name).includes(part)" @change="toggle(name, part)"> {{ part }}</label></fieldset>
        <div class="run-fields">
          <RunField :path="['objectives', name, 'direction']" label="Direction" />
          <RunField :path="['objectives', name, 'aggregate']" label="Aggregate" />
        </div>
        <FieldProblems :problems="file.problemsAt('objectives.' + name + '.from')" />
      </div>
      <FieldProblems :problems="[...file.problemsExactly('evaluators'), ...file.problemsExactly('objectives')]"
        keys />
      <button type="button" class="link" @click="addObjective">+ Add an objective</button>
    </section>`,
  computed: {
    tasks() {
      return this.file.yaml.keys("evaluators");
    },
    types() {
      return this.file.choices?.evaluators.map(({ name }) => ({ name }));
    },
    objectives() {
      return this.file.yaml.keys("objectives");
    },
  },
  methods: {
    has(name, key) {
      return this.file.yaml.value("evaluators", name, key) !== undefined;
    },
    from(name) {
      const found = this.file.yaml.value("objectives", name, "from");
      return Array.isArray(found) ? found : [];
    },
    partsOf(name) {
      return [...new Set([...this.tasks, ...this.from(name)])];
    },
    toggle(name, part) {
      const now = this.from(name);
      const wanted = (item) => (item === part ? !now.includes(part) : now.includes(item));
      this.file.set(["objectives", name, "from"], this.partsOf(name).filter(wanted));
    },
    addTask() {
      const name = freeName("task", this.tasks);
      this.file.set(["evaluators", name], { type: "generation", data: `${name}.jsonl`, metric: "exact" });
    },
    removeTask(name) {
      const yaml = this.file.yaml;
      const without = (goal) => this.from(goal).filter((item) => item !== name);
      const goals = this.objectives.filter((goal) => this.from(goal).includes(name));
      this.file.change([
        yaml.remove(["evaluators", name]),
        ...goals.map((goal) => yaml.set(["objectives", goal, "from"], without(goal))),
      ]);
    },
    addObjective() {
      const name = freeName("objective", this.objectives);
      this.file.set(["objectives", name], { from: this.tasks, direction: "maximize" });
    },
    restProblems(name) {
      const place = `evaluators.${name}`;
      const fields = [`${place}.type`, `${place}.data`, `${place}.task`];
      return this.file.problemsAt(place).filter((item) => !fields.includes(item.key));
    },
  },
};
