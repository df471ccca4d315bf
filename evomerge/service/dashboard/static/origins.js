// Where candidates come from, in words.

import { get, path, withQuery } from "evomerge/api.js";

/** Return an origin of the API in words: "source math", "the base", "cma_es". */
export function originName(origin) {
  const [kind, label, ...rest] = origin.split(":");
  if (kind !== "warm") return kind === "inject" ? `injected ${[label, ...rest].join(":")}` : origin;
  const name = rest.join(":");
  if (label === "base" && !name) return "the base";
  if (label === "parent") return `source ${name}`;
  return `first proposal: ${[label, ...rest].join(":")}`;
}

/**
 * Return what a run began with, scored: candidate → origin, base and sources first, then other
 * references.
 */
export async function startsOf(run) {
  const address = path("runs", run, "candidates");
  const [warm, references] = await Promise.all([
    get(withQuery(address, { origin: "warm:", status: "done", limit: 30 })),
    get(withQuery(address, { kind: "reference", status: "done", limit: 30 })),
  ]);
  const isModel = (item) => /^warm:(base$|parent:)/.test(item.origin);
  const items = [
    ...warm.items.filter(isModel),
    ...references.items,
    ...warm.items.filter((item) => !isModel(item)),
  ];
  return new Map(items.map((item) => [item.candidate, item.origin]));
}
