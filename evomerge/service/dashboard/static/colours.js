// Colours of charts, read from the style sheet, so that pages, charts and the report agree.

/**
 * Return the colours of the theme that is shown now.
 * `series` are those of Okabe and Ito that keep apart for colour-blind eyes; `ramp` goes from
 * little to much, `diverging` from below through none to above, as Plotly's colour scales.
 */
export function colours() {
  const style = getComputedStyle(document.body);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const all = (name, n) => Array.from({ length: n }, (_, i) => read(`${name}-${i + 1}`));
  const scale = (list) => list.map((colour, i) => [i / (list.length - 1), colour]);
  return {
    ink: read("ink"),
    quiet: read("ink-quiet"),
    line: read("line"),
    surface: read("surface"),
    accent: read("accent"),
    good: read("good"),
    bad: read("bad"),
    warn: read("warn"),
    faded: read("faded"),
    series: all("series", 8),
    ramp: scale(all("ramp", 5)),
    diverging: scale(all("diverging", 5)),
  };
}

/** Marker symbols that go with `series`, so that colour is never the only sign. */
export const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "cross", "x", "star", "hexagon"];

/** Dashes that go with `series`. */
export const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px,2px", "2px,5px"];

/** Return `colour` (#rrggbb) with an opacity. */
export function faint(colour, opacity) {
  const part = (i) => parseInt(colour.slice(i, i + 2), 16);
  return `rgba(${part(1)}, ${part(3)}, ${part(5)}, ${opacity})`;
}
