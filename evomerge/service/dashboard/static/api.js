// The service's API: reading, changing, following. Everything that a page shows comes through here.

const PREFIX = "/api/v1";

/** What the API refused, and why. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status; 0 where the service wasn't reached.
   * @param {string} message One sentence.
   * @param {{key: string, message: string}[]} problems Single mistakes.
   */
  constructor(status, message, problems = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

/** Return the address of `parts` below the API, each part escaped: path("runs", id, "front"). */
export function path(...parts) {
  return [PREFIX, ...parts.map(encodeURIComponent)].join("/");
}

/** Return `address` with what of `query` is set; a list gives its key several times. */
export function withQuery(address, query) {
  const found = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== null && item !== undefined && item !== "") found.append(key, item);
    }
  }
  return found.size ? `${address}?${found}` : address;
}

/** Return the body at `address`. Browsers revalidate by its ETag themselves. */
export async function get(address, { signal } = {}) {
  return await ask(address, { signal });
}

/** Send `body` to `address` and return the answer's body. */
export async function send(method, address, body, headers = {}) {
  const csrf = (await whoAmI()).csrf;
  return await ask(address, {
    method,
    headers: {
      ...headers,
      ...(csrf ? { "X-CSRF-Token": csrf } : {}),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

let caller;

/** Return who is signed in: {name, role, csrf}. */
export function whoAmI() {
  caller ??= get(path("session")).catch((error) => {
    caller = undefined;
    throw error;
  });
  return caller;
}

/** Say if who is signed in may change something. */
export async function mayOperate() {
  return (await whoAmI()).role !== "viewer";
}

/**
 * Call `changed` whenever a run has stored something, at most once every `every` ms.
 * @param {string[]} kinds Kinds of events that there are.
 * @returns {() => void} what ends it.
 */
export function follow(run, kinds, changed, { every = 1000 } = {}) {
  const source = new EventSource(path("runs", run, "events"));
  let timer = null;
  const soon = () => {
    timer ??= setTimeout(() => {
      timer = null;
      changed();
    }, every);
  };
  for (const kind of kinds) source.addEventListener(kind, soon);
  return () => {
    source.close();
    clearTimeout(timer);
  };
}

async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The service can't be reached. It is tried again.");
  }
  if (answer.status === 401) {
    const here = location.pathname + location.search;
    location.assign(`/login?next=${encodeURIComponent(here)}`);
  }
  const json = (answer.headers.get("content-type") ?? "").includes("json");
  const body = answer.status === 204 ? null : json ? await answer.json() : await answer.text();
  if (!answer.ok) {
    const found = body?.error;
    throw new ApiError(answer.status, found?.message ?? `HTTP ${answer.status}`, found?.problems);
  }
  return body;
}
