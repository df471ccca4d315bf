// What sets two pieces of plain data apart, place by place.

/** Return [place, value] of all in `value` that is no list or mapping: ["search.budget", 400]. */
export function leaves(value, place = "") {
  if (Array.isArray(value)) return value.flatMap((item, i) => leaves(item, `${place}[${i}]`));
  if (value !== null && typeof value === "object") {
    return Object.entries(value).flatMap(([key, item]) => leaves(item, place ? `${place}.${key}` : key));
  }
  return [[place, value]];
}

/**
 * Return what differs between `a` and `b` as {place, a, b}, in the order of `a`, then of `b`;
 * what one of them doesn't have is undefined there.
 */
export function differences(a, b) {
  const [first, second] = [new Map(leaves(a)), new Map(leaves(b))];
  const places = [...new Set([...first.keys(), ...second.keys()])];
  return places
    .map((place) => ({ place, a: first.get(place), b: second.get(place) }))
    .filter((item) => item.a !== item.b);
}
