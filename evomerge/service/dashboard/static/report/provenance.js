// Where everything comes from: versions, sources and tasks with their hashes, plug-ins.

import { card, el, table } from "evomerge/report/dom.js";

const code = (text) => ({ text: el("code", {}, text), class: "text-wrap" });

/** Show versions, sources, tasks and plug-ins. */
export function provenance({ run, best }) {
  const versions = Object.entries(run.versions).map(([name, version]) => [name, code(version)]);
  const plugins = run.plugins.map(({ path, sha256 }) => [code(path), code(sha256)]);
  const parts = [
    ["Sources", table(["name", "what is known of it"], rowsOf(run.sources))],
    ["Tasks", table(["name", "what is known of it"], rowsOf(run.tasks, ["metrics", "block_size"]))],
    ["Versions", table(["package", "version"], versions)],
    ["Plug-ins", table(["file", "sha256"], plugins)],
  ].filter(([, found]) => found.querySelector("tbody tr"));
  const hashes = table(["what", "sha256 or id"], [
    ["run", code(run.run_id)],
    ["best candidate", code(best.candidate)],
    ["its recipe", code(best.recipe_hash)],
  ]);
  const titled = parts.flatMap(([title, found]) => [el("h3", {}, title), found]);
  return { element: card("Provenance", null, hashes, titled) };
}

/** Return one row a name: its facts as "key: value" lines, without those left out. */
function rowsOf(items, left = []) {
  const line = ([key, value]) => el("div", {}, `${key}: `, el("code", {}, worded(value)));
  const told = ([key, value]) => value !== null && !left.includes(key);
  return Object.entries(items).map(([name, facts]) => [
    name,
    { text: el("div", {}, Object.entries(facts).filter(told).map(line)), class: "text-wrap" },
  ]);
}

function worded(value) {
  if (typeof value !== "object") return String(value);
  return Object.entries(value).map(([key, item]) => `${key} ${plain(item)}`).join(", ");
}

function plain(value) {
  return typeof value === "object" ? JSON.stringify(value) : value;
}
