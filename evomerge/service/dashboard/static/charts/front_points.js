// The points of a front's picture as charts and lists take them.

/** Kinds of points, from the back of a chart to its front. */
export const KINDS = ["others", "front", "landmarks"];

/** What the kinds are called. */
export const WORDS = { others: "other candidates", front: "front", landmarks: "base, sources, starts" };

/**
 * Return the points of one kind as columns, without those that lack one of the chosen objectives.
 *
 * @param {object} picture The API's answer.
 * @param {string} kind One of KINDS.
 * @returns {{candidates: string[], origins: string[], asks: number[], feasible: boolean[],
 *   value: Object<string, number[]>, low: object|undefined, high: object|undefined}}
 */
export function pointsOf(picture, kind) {
  const part = picture[kind];
  const columns = picture.objectives.map(({ name }) => part.value[name]);
  const rows = part.candidates.map((_, row) => row).filter((row) => columns.every((c) => c[row] !== null));
  if (rows.length === part.candidates.length) return part;
  const pick = (column) => rows.map((row) => column[row]);
  const pickAll = (found) => found && Object.fromEntries(Object.entries(found).map(([k, c]) => [k, pick(c)]));
  return {
    candidates: pick(part.candidates),
    origins: pick(part.origins),
    asks: pick(part.asks),
    feasible: pick(part.feasible),
    value: pickAll(part.value),
    low: pickAll(part.low),
    high: pickAll(part.high),
  };
}

/**
 * Return the points of a picture one by one, also those that can't be drawn.
 *
 * @returns {{candidate: string, kind: string, origin: string, ask: number, feasible: boolean,
 *   marks: string[], numbers: Object<string, {value: number, low: number, high: number}>}[]}
 */
export function listed(picture, kinds = ["front", "landmarks", "others"]) {
  return kinds.flatMap((kind) => {
    const part = picture[kind];
    return part.candidates.map((candidate, row) => ({
      candidate,
      kind,
      origin: part.origins[row],
      ask: part.asks[row],
      feasible: part.feasible[row],
      marks: marksOf(picture, candidate),
      numbers: Object.fromEntries(
        picture.objectives.map(({ name }) => [
          name,
          { value: part.value[name][row], low: part.low?.[name][row], high: part.high?.[name][row] },
        ]),
      ),
    }));
  });
}

/** Return why a candidate stands out: "knee", "best math", "best of the run". */
export function marksOf(picture, candidate) {
  const marks = picture.marks[candidate] ?? [];
  return candidate === picture.best ? [...marks, "best of the run"] : marks;
}

/** Return the name of a base, a source or a start: "parent:math" is the merge of math alone. */
export function nameOf(origin) {
  return origin.replace(/^warm:/, "").replace(/^parent:/, "");
}

/** Return what an objective's axis says: its name, and which end of it is the better one. */
export function axisTitle({ name, direction }) {
  return `${name} (${direction === "maximize" ? "higher" : "lower"} is better)`;
}

/**
 * Return the range of an axis that shows the front, the landmarks and most of the other points.
 *
 * A few merges break the model, and scores such as perplexities then lie far beyond all others;
 * the front would be a dot in a corner.
 *
 * @param {number[][]} kept What has to be in sight.
 * @param {number[]} others What may lie beyond.
 */
export function rangeOf(kept, others) {
  const known = kept.flat().filter(Number.isFinite);
  let [low, high] = [Math.min(...known), Math.max(...known)];
  if (others.length) {
    const sorted = Float64Array.from(others).sort();
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    const wide = [Math.min(low, sorted[0]), Math.max(high, sorted.at(-1))];
    const most = [Math.min(low, at(0.02)), Math.max(high, at(0.98))];
    [low, high] = wide[1] - wide[0] > 3 * (most[1] - most[0]) ? most : wide;
  }
  const pad = 0.05 * (high - low) || 0.05 * Math.abs(high) || 0.05;
  return [low - pad, high + pad];
}
