// How numbers, times and sizes read; the only place where they become text.

export const NOTHING = "–";

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** Return a score with three decimals, large or tiny values with three digits: 0.641, 12 300. */
export function score(value) {
  if (!known(value)) return NOTHING;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1000 || size < 0.001)) return compact(value);
  return minus(value.toFixed(size >= 100 ? 1 : 3));
}

/** Return a number with its 95 % interval: 0.641 [0.610, 0.671]. */
export function interval(number) {
  if (!number || !known(number.value)) return NOTHING;
  const text = score(number.value);
  return known(number.low) && known(number.high)
    ? `${text} [${score(number.low)}, ${score(number.high)}]`
    : text;
}

/** Return a difference with its sign: +0.021. */
export function signed(value) {
  if (!known(value)) return NOTHING;
  return value > 0 ? `+${score(value)}` : score(value);
}

/** Return a count with thin spaces between thousands: 12 300. */
export function count(value) {
  if (!known(value)) return NOTHING;
  return minus(Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f"));
}

/** Return three significant digits, whatever the size: 1.23e−5, 12 300. */
export function compact(value) {
  if (!known(value)) return NOTHING;
  const size = Math.abs(value);
  if (size >= 1e6 || (size !== 0 && size < 1e-3)) return minus(value.toExponential(2));
  return size >= 1000 ? count(value) : minus(Number(value.toPrecision(3)).toString());
}

/** Return a share of one in percent: 97 %. */
export function percent(value) {
  return known(value) ? `${minus((100 * value).toFixed(value < 0.1 && value > 0 ? 1 : 0))}\u202f%` : NOTHING;
}

/** Return seconds as people say them: 12 s, 3 min 20 s, 5 h 10 min, 3 d 4 h. */
export function duration(seconds) {
  if (!known(seconds)) return NOTHING;
  if (seconds < 10) return `${Number(seconds.toFixed(1))}\u202fs`;
  const steps = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of steps) {
    const n = Math.floor(left / size);
    left -= n * size;
    if (n > 0) parts.push(`${n}\u202f${unit}`);
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** Return how many a second, or a minute or hour where that is easier to read: 0.52/s, 3.1/min. */
export function rate(perSecond) {
  if (!known(perSecond)) return NOTHING;
  if (perSecond === 0) return "0/s";
  for (const [unit, seconds] of [["s", 1], ["min", 60]]) {
    if (perSecond * seconds >= 0.1) return `${compact(perSecond * seconds)}/${unit}`;
  }
  return `${compact(perSecond * 3600)}/h`;
}

/** Return a time of day, with the date where it isn't today's. `seconds` since 1970. */
export function when(seconds) {
  if (!known(seconds)) return NOTHING;
  const text = day(seconds);
  return text.slice(0, 10) === day(Date.now() / 1000).slice(0, 10) ? text.slice(11) : text;
}

/** Return a time with its date, as what is kept or printed needs it: 2026-01-31 14:05. */
export function day(seconds) {
  if (!known(seconds)) return NOTHING;
  const at = new Date(1000 * seconds);
  const two = (n) => String(n).padStart(2, "0");
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** Return bytes: 1.07 GB. */
export function bytes(n) {
  if (!known(n)) return NOTHING;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (n >= 1000 && step < units.length - 1) {
    n /= 1000;
    step += 1;
  }
  return `${step === 0 ? n : Number(n.toPrecision(3))}\u202f${units[step]}`;
}

/** Return an id shortened for reading; links and copies take the whole. */
export function shortId(id) {
  return id && id.length > 12 ? id.slice(0, 8) : (id ?? NOTHING);
}

/** Return "1 candidate", "2 candidates". */
export function plural(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

function minus(text) {
  return text.replace("-", "\u2212");
}
