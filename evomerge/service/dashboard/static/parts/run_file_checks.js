// Checks of a run file as it is typed: one at a time, and always of the newest text.

import { path, send } from "evomerge/api.js";

const WAIT_MS = 500;

/** Checks texts and tells what came of it. */
export class Checks {
  /** @param {(result: {problems, warnings, config, failed}) => void} done Told after each check. */
  constructor(done) {
    this.done = done;
    this.body = null;
    this.timer = null;
    this.busy = false;
  }

  /** Check what would be submitted ({text, plugins}) soon, unless something newer comes. */
  ask(body) {
    this.body = body;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.next(), WAIT_MS);
  }

  /** Check nothing more. */
  end() {
    clearTimeout(this.timer);
    this.body = null;
    this.done = () => {};
  }

  async next() {
    if (this.busy || this.body === null) return;
    const { body } = this;
    this.body = null;
    this.busy = true;
    const result = await checked(body);
    this.busy = false;
    if (this.body === null) this.done(result);
    else this.next();
  }
}

async function checked(body) {
  const empty = { problems: [], warnings: [], config: null, failed: null };
  try {
    const { config, warnings } = await send("POST", path("jobs", "check"), body);
    return { ...empty, config, warnings };
  } catch (error) {
    if (error.problems?.length) return { ...empty, problems: error.problems };
    return { ...empty, failed: error };
  }
}

/** Return where a mistake stands in a text: {from, to}, both null where nobody can tell. */
export function placeOf(problem, yaml) {
  const line = /^line (\d+)(?:, column (\d+))?$/.exec(problem.key);
  if (line) {
    const lines = yaml.text.split("\n");
    const number = Math.min(Number(line[1]), lines.length);
    const start = lines.slice(0, number - 1).reduce((sum, item) => sum + item.length + 1, 0);
    return { from: start, to: start + lines[number - 1].length };
  }
  return (problem.key && yaml.place(problem.key)) || { from: null, to: null };
}
