// Names that are too long for an axis.

/** Return `text` with its middle left out where it has more than `most` letters. */
export function brief(text, most) {
  if (text.length <= most) return text;
  const end = Math.ceil((most - 1) / 2);
  return `${text.slice(0, most - 1 - end)}…${text.slice(-end)}`;
}

/** Return `names` without the dotted beginning that all share: merge.weights.math, … → math, …. */
export function tails(names) {
  if (names.length < 2) return names;
  const split = names.map((name) => name.split("."));
  let shared = 0;
  while (split.every((parts) => parts.length > shared + 1 && parts[shared] === split[0][shared])) shared += 1;
  return split.map((parts) => parts.slice(shared).join("."));
}
