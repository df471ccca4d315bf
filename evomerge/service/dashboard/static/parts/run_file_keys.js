// Keys of a run file as texts, and what belongs to one.

/** Return a path as messages name it: recipe.parameters[0].method. */
export function keyOf(path) {
  return path.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("").replace(/^\./, "");
}

/** Say if what `key` names stands at `place` or within it. */
export function isWithin(key, place) {
  return key === place || key.startsWith(`${place}.`) || key.startsWith(`${place}[`);
}

/** Return a name that isn't taken yet: task, task2, task3. */
export function freeName(base, taken) {
  let name = base;
  for (let n = 2; taken.includes(name); n += 1) name = `${base}${n}`;
  return name;
}
