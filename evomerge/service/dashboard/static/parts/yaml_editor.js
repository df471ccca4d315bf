// An editor of YAML with marks at the lines of mistakes.

import * as CM from "nicegui-codemirror";
import { loadYaml } from "evomerge/parts/yaml_text.js";

// What the library's own style marks, in the page's colours.
const INK = { "#940": "var(--ink-quiet)", "#00c": "var(--accent)", "#a11": "var(--good)" };

const LOOK = CM.EditorView.theme({
  "&": { backgroundColor: "var(--surface)", color: "var(--ink)", fontSize: "12.5px", height: "100%" },
  ".cm-content": { caretColor: "var(--ink)" },
  ".cm-gutters": {
    backgroundColor: "var(--surface)",
    color: "var(--ink-quiet)",
    borderRight: "1px solid var(--line)",
  },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--raised) 55%, transparent)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-line.wrong": { boxShadow: "inset 3px 0 0 var(--bad)" },
  ".wrong-part": { textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "3px" },
  ".cm-foldPlaceholder, .cm-panels, .cm-tooltip": {
    backgroundColor: "var(--raised)",
    color: "var(--ink)",
    borderColor: "var(--line)",
  },
});

const setMarks = CM.StateEffect.define();
const marks = CM.StateField.define({
  create: () => CM.Decoration.none,
  update(found, change) {
    for (const effect of change.effects) if (effect.is(setMarks)) return effect.value;
    return found.map(change.changes);
  },
  provide: (field) => CM.EditorView.decorations.from(field),
});

export default {
  props: {
    text: { type: String, required: true },
    problems: { type: Array, default: () => [] }, // {from, to, message}; without a place: from is null
    label: { type: String, default: "Run file" },
  },
  emits: ["update:text"],
  template: `<div ref="place" class="yaml-editor"></div>`,
  watch: {
    text(now) {
      const view = this.view();
      if (view && view.state.doc.toString() !== now) this.apply(differing(view.state.doc.toString(), now));
    },
    problems() {
      this.mark();
    },
  },
  async mounted() {
    const yaml = await loadYaml();
    const inked = ({ tag, color }) => ({ tag, color: INK[color] ?? "inherit" });
    const colours = CM.defaultHighlightStyle.specs.map(inked);
    const view = new CM.EditorView({
      parent: this.$refs.place,
      doc: this.text,
      extensions: [
        CM.syntaxHighlighting(CM.HighlightStyle.define(colours)),
        CM.basicSetup,
        yaml,
        LOOK,
        marks,
        CM.indentUnit.of("  "),
        CM.EditorView.lineWrapping,
        CM.EditorView.contentAttributes.of({ "aria-label": this.label, spellcheck: "false", tabindex: "0" }),
        CM.EditorView.updateListener.of((update) => {
          if (update.docChanged) this.$emit("update:text", update.state.doc.toString());
        }),
      ],
    });
    // Vue must not watch what the editor keeps.
    this.view = () => view;
    this.mark();
  },
  unmounted() {
    this.view()?.destroy();
  },
  methods: {
    view: () => null,
    /** Make changes that can be undone: [{from, to, insert}]. */
    apply(changes) {
      this.view().dispatch({ changes });
    },
    /** Put the cursor where a mistake is. */
    show(from) {
      const view = this.view();
      const effects = CM.EditorView.scrollIntoView(from, { y: "center" });
      view.dispatch({ selection: { anchor: from }, effects });
      view.focus();
    },
    mark() {
      const view = this.view();
      if (!view) return;
      const doc = view.state.doc;
      const found = this.problems
        .filter((item) => item.from !== null && item.to <= doc.length)
        .flatMap(({ from, to }) => [
          CM.Decoration.line({ class: "wrong" }).range(doc.lineAt(from).from),
          ...(to > from ? [CM.Decoration.mark({ class: "wrong-part" }).range(from, to)] : []),
        ]);
      view.dispatch({ effects: setMarks.of(CM.Decoration.set(found, true)) });
    },
  },
};

/** Return the one change that leads from one text to another, so that the cursor stays. */
function differing(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  const most = Math.min(before.length, after.length) - start;
  while (end < most && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  return [{ from: start, to: before.length - end, insert: after.slice(start, after.length - end) }];
}
