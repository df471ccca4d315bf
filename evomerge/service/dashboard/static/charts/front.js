// The front of a run as a chart, by the number of objectives that were chosen.

import { drawParallel } from "evomerge/charts/front_parallel.js";
import { drawPlane } from "evomerge/charts/front_plane.js";
import { drawSpace } from "evomerge/charts/front_space.js";

/** No points. */
export const NOBODY = { candidates: [], asks: [], value: {} };

/** Return how a picture is drawn: "plane", "space" or "parallel". */
export function shapeOf(picture, shape = "") {
  if (shape) return shape;
  return { 1: "plane", 2: "plane", 3: "space" }[picture.objectives.length] ?? "parallel";
}

/**
 * Draw a front beside the other candidates: one objective over the search, two as a plane, three
 * as a space that turns, more as parallel axes.
 *
 * @param {HTMLElement} element Its size is the chart's.
 * @param {object} picture The API's answer.
 * @param {object} options
 * @param {string} options.shape "parallel" for parallel axes with two or three objectives too.
 * @param {string|null} options.chosen A candidate to point out.
 * @param {object} options.parents Its parents, as columns: {candidates, asks, value}.
 * @param {string[]} options.pinned Candidates that are numbered, from 1.
 * @param {boolean} options.intervals Draw the 95 % intervals of the front (plane only).
 * @param {Object<string, number[]|number[][]>} options.ranges Objective → what is brushed (parallel).
 * @param {(candidate: string|null, event: MouseEvent) => void} options.onHover
 * @param {(candidate: string) => void} options.onPick
 * @param {(ranges: Object<string, number[][]>) => void} options.onBrush
 * @returns {Promise<void>} once it is drawn.
 */
export async function drawFront(element, picture, options = {}) {
  const shapes = { plane: drawPlane, space: drawSpace, parallel: drawParallel };
  const all = { chosen: null, parents: NOBODY, pinned: [], intervals: true, ranges: {}, ...options };
  element.onclick = null;
  await shapes[shapeOf(picture, all.shape)](element, picture, all);
}
