// What is chosen on the front's page, kept in its address so that it can be shared.

import { choose, chosen } from "evomerge/address.js";

/**
 * Return the choice that the address holds.
 * @returns {{names: string[], shape: string, split: string|null, chosen: string|null,
 *   pinned: string[], intervals: boolean|null}}
 */
export function readChoice() {
  const { one, all } = chosen();
  const axes = [one("x"), one("y"), one("z")].filter(Boolean);
  return {
    names: [...new Set([...axes, ...all("objective")])],
    shape: one("shape") === "parallel" ? "parallel" : "",
    split: one("split") || null,
    chosen: one("candidate") || null,
    pinned: [...new Set(all("pin"))],
    intervals: { on: true, off: false }[one("intervals")] ?? null,
  };
}

/** Write the choice into the address. */
export function writeChoice({ names, shape, split, chosen: candidate, pinned: pin, intervals }) {
  const [x, y, z] = names;
  const axes = names.length > 3 ? { objective: names } : { x, y, z };
  choose({ ...axes, shape, split, candidate, pin, intervals: { true: "on", false: "off" }[intervals] });
}
