// A new run: a form and its run file as text, kept in step and checked as they change.

import { get, mayOperate, path, send } from "evomerge/api.js";
import NewRunForm from "evomerge/parts/new_run_form.js";
import NewRunStatus from "evomerge/parts/new_run_status.js";
import Problem from "evomerge/parts/problem.js";
import { Checks, placeOf } from "evomerge/parts/run_file_checks.js";
import { isWithin } from "evomerge/parts/run_file_keys.js";
import { BLANK, draftOf, freshKey, keepDraft, textOfRun } from "evomerge/parts/run_file_start.js";
import YamlEditor from "evomerge/parts/yaml_editor.js";
import { YamlText, changed, loadYaml } from "evomerge/parts/yaml_text.js";

const AGAIN_MS = 1000;
const FIRST = "quickstart";

export default {
  components: { NewRunForm, NewRunStatus, Problem, YamlEditor },
  provide() {
    return { file: this };
  },
  template: `
    <div class="view">
      <div class="row-line">
        <h1>New run</h1>
        <label for="template" class="quiet">Start from</label>
        <select v-if="yaml" id="template" class="select" :value="start" @change="begin($event.target.value)">
          <option v-if="run" :value="run">run {{ runName }}</option>
          <option v-for="item in templates" :value="item.name">{{ item.name }}</option>
          <option value="">a blank run file</option>
        </select>
        <span class="quiet text-wrap">{{ summary }}</span>
      </div>
      <Problem :error="error" />
      <p v-if="!allowed" class="notice">Your token is a viewer's: you may look at run files, but submitting
        needs an operator's.</p>
      <p v-if="isDraft" class="notice row-line" role="status">What you typed before is back.
        <button type="button" class="link" @click="begin(start)">Start over</button></p>
      <div v-if="yaml" class="new-run">
        <NewRunForm class="new-run-form" />
        <div class="new-run-text">
          <section class="card" aria-label="Run file">
            <div class="row-line">
              <h2>Run file</h2><span class="space"></span>
              <button type="button" class="button button-first" :disabled="!allowed || submitting || !!job"
                @click="submit">Submit</button>
            </div>
            <p v-if="job" class="notice" role="status">{{ progress }} <a href="/jobs">All jobs</a></p>
            <NewRunStatus v-else :checking="checking" :result="result" :problems="problems" @show="show" />
            <YamlEditor ref="editor" v-model:text="text" :problems="problems" />
          </section>
        </div>
      </div>
      <div v-else-if="!error" class="new-run" aria-label="Loading">
        <q-skeleton height="320px" /><q-skeleton height="320px" />
      </div>
    </div>`,
  data: () => ({
    templates: [],
    schema: {},
    choices: null,
    text: "",
    yaml: null,
    start: "",
    original: "",
    plugins: [],
    isDraft: false,
    run: new URLSearchParams(location.search).get("run") ?? "",
    runName: "",
    allowed: true,
    checking: false,
    result: null,
    refused: [],
    error: null,
    submitting: false,
    key: null,
    job: null,
  }),
  computed: {
    summary() {
      return this.templates.find((item) => item.name === this.start)?.summary ?? "";
    },
    /** What is wrong with the text, each with its place. */
    problems() {
      if (!this.yaml) return [];
      const found = this.refused.length ? this.refused : (this.result?.problems ?? []);
      return found.map((item) => {
        const place = placeOf(item, this.yaml);
        const line = place.from === null ? null : this.text.slice(0, place.from).split("\n").length;
        return { ...item, ...place, line };
      });
    },
    progress() {
      if (this.job.state === "failed") return `The job failed: ${this.job.message}`;
      return this.job.state === "queued"
        ? "Submitted: it waits for its turn. Its page opens when it begins."
        : "Submitted: it is beginning. Its page opens in a moment.";
    },
  },
  watch: {
    text(now) {
      this.yaml = Vue.markRaw(new YamlText(now, this.parser));
      keepDraft(this.start, now === this.original ? null : now);
      this.renew();
    },
    plugins() {
      this.renew();
    },
  },
  async mounted() {
    try {
      const [found, yaml, allowed] = await Promise.all([get(path("templates")), loadYaml(), mayOperate()]);
      this.parser = yaml.language.parser;
      Object.assign(this, { templates: found.templates, schema: Vue.markRaw(found.schema), allowed });
      this.checks = new Checks((result) => Object.assign(this, { result, checking: false }));
      const wanted = new URLSearchParams(location.search).get("template") ?? FIRST;
      await this.begin(this.run || wanted, { resume: true }).catch((error) => {
        this.error = error;
        return this.begin(FIRST);
      });
      this.choices = Vue.markRaw(await get(path("templates", "choices")));
    } catch (error) {
      this.error = error;
    }
  },
  unmounted() {
    this.checks?.end();
    clearTimeout(this.timer);
  },
  methods: {
    /** Begin with a template's text, or the run's; with `resume` take up what was typed before. */
    async begin(start, { resume = false } = {}) {
      const ofRun = start && start === this.run ? await textOfRun(this.run, this.schema) : null;
      const template = ofRun ? null : this.templates.find((item) => item.name === start);
      this.runName = ofRun?.name ?? this.runName;
      this.start = ofRun ? start : (template?.name ?? "");
      this.original = ofRun?.text ?? template?.text ?? BLANK;
      this.plugins = ofRun?.plugins ?? [];
      const draft = resume ? draftOf(this.start) : null;
      this.isDraft = draft !== null;
      this.text = draft ?? this.original;
      const query = new URLSearchParams(this.run ? { run: this.run } : {});
      if (this.start !== this.run) query.set("template", this.start);
      history.replaceState(null, "", `/new?${query}`);
    },
    /** What would be submitted is another: check it. */
    renew() {
      this.refused = [];
      this.key = null;
      if (!this.allowed) return;
      this.checking = true;
      this.checks.ask({ text: this.text, plugins: this.plugins });
    },
    // -- what the form's parts use --------------------------------------------------------------
    problemsAt(place) {
      return this.problems.filter((item) => isWithin(item.key, place));
    },
    problemsExactly(key) {
      return this.problems.filter((item) => item.key === key);
    },
    set(at, value) {
      this.change([this.yaml.set(at, value)]);
    },
    remove(at) {
      this.change([this.yaml.remove(at)]);
    },
    change(changes) {
      this.text = changed(this.text, changes.filter(Boolean));
    },
    show(item) {
      this.$refs.editor.show(item.from);
    },
    // -- submitting -----------------------------------------------------------------------------
    async submit() {
      this.submitting = true;
      this.error = null;
      // The same text is sent with the same key, so that a second try makes no second run.
      this.key ??= freshKey();
      try {
        const body = { text: this.text, plugins: this.plugins };
        this.job = await send("POST", path("jobs"), body, { "Idempotency-Key": this.key });
        keepDraft(this.start, null);
        await this.follow();
      } catch (error) {
        if (error.problems?.length) this.refused = error.problems;
        else this.error = error;
      } finally {
        this.submitting = false;
      }
    },
    /** Go to the run's page once there is one. */
    async follow() {
      const { job_id: id, run_id: run, name } = this.job;
      try {
        this.job = await get(path("jobs", id));
        if (this.job.state !== "queued") {
          const found = await get(`${path("runs")}?text=${encodeURIComponent(name)}&limit=50`);
          if (found.items.some((item) => item.run_id === run)) {
            location.assign(`/runs/${run}`);
            return;
          }
        }
        if (this.job.state === "failed" || this.job.state === "cancelled") return;
      } catch (error) {
        this.error = error;
      }
      this.timer = setTimeout(() => this.follow(), AGAIN_MS);
    },
  },
};
