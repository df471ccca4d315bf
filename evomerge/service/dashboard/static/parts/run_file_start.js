// The text that a new run begins with: a template, another run's file, or nearly nothing.

import { get, path } from "evomerge/api.js";
import { withoutDefaults } from "evomerge/parts/run_file_schema.js";
import { inLines } from "evomerge/parts/yaml_write.js";

export const BLANK = `name: my-run
base: base                # a name in sources
sources:
  base: {path: models/base}
  other: {path: models/other}
recipe:
  parameters:
    - method: task_arithmetic
      inputs: [other]
      weights: {search: {low: 0.0, high: 1.0}}
evaluators:
  task: {type: generation, data: task.jsonl, metric: exact}
objectives:
  score: {from: [task], direction: maximize}
search:
  searcher: cma_es
  budget: 100
`;

/** Return the run file of a run as a new run may begin with it: defaults and the ledger left out. */
export async function textOfRun(run, schema) {
  const detail = await get(path("runs", run));
  const { ledger: _, schema_version: __, ...config } = detail.config;
  const comment = `# From the run ${JSON.stringify(detail.name)}, defaults left out.\n`;
  const text = comment + inLines(withoutDefaults(schema, config));
  return { name: detail.name, text, plugins: detail.plugins.map((plugin) => plugin.path) };
}

const draftKey = (start) => `evomerge:new:${start}`;

/** Return what was typed in this tab and not submitted; null where nothing was. */
export function draftOf(start) {
  return sessionStorage.getItem(draftKey(start));
}

/** Keep what was typed, for when the page is loaded again or a session has ended; null lets it go. */
export function keepDraft(start, text) {
  if (text === null) sessionStorage.removeItem(draftKey(start));
  else sessionStorage.setItem(draftKey(start), text);
}

/** Return a key that a submit can be sent again with; also where a page came without TLS. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
