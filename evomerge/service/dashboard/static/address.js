// What is chosen on a page stands in its address, so that it can be shared and gone back to.

import { withQuery } from "evomerge/api.js";

/** Return what the address chooses: one("text"), all("state"). */
export function chosen() {
  const query = new URLSearchParams(location.search);
  return { one: (key) => query.get(key) ?? "", all: (key) => query.getAll(key) };
}

/**
 * Put what is chosen into the address; what is empty is left out, a list gives its key repeatedly.
 * @param {object} query Key → text, number or list.
 */
export function choose(query) {
  const wanted = withQuery(location.pathname, query);
  if (wanted !== location.pathname + location.search) history.replaceState(history.state, "", wanted);
}
