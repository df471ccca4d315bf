// Stars, notes, bans and pins of a run's candidates, fetched once for all parts of a page.

import { get, path, send } from "evomerge/api.js";

const stores = new Map();

/**
 * Return candidate → remark {starred, banned, pinned, notes} of a run, which Vue follows. It is
 * empty until it is fetched, and is fetched again when the run has something new.
 */
export function remarksOf(run) {
  if (!stores.has(run)) {
    stores.set(run, Vue.reactive({}));
    const load = () => fetchInto(run);
    window.addEventListener("evomerge:changed", load);
    load();
  }
  return stores.get(run);
}

/**
 * Change stars, bans or pins: changeRemark(run, id, { starred: true }).
 * @returns {Promise<string>} what else is to be known of it; mostly empty.
 */
export async function changeRemark(run, candidate, changes) {
  return keep(run, await send("PATCH", path("runs", run, "candidates", candidate, "remark"), changes));
}

/** Write a note on a candidate. */
export async function writeNote(run, candidate, text) {
  return keep(run, await send("POST", path("runs", run, "candidates", candidate, "notes"), { text }));
}

function keep(run, { remark, message }) {
  remarksOf(run)[remark.candidate] = remark;
  return message;
}

async function fetchInto(run) {
  let items;
  try {
    ({ items } = await get(path("runs", run, "remarks")));
  } catch {
    return; // The page's own requests say what is wrong; marks come with the next change.
  }
  const store = stores.get(run);
  const found = Object.fromEntries(items.map((remark) => [remark.candidate, remark]));
  for (const name of Object.keys(store)) if (!(name in found)) delete store[name];
  Object.assign(store, found);
}
