// How much of each source goes where: coefficients by layer or by segment, as a heat map.

import { plain, plot } from "evomerge/chart.js";
import { compact, count, score } from "evomerge/format.js";

const ROW_PX = 28;
const AROUND_PX = 84;
/** More cells than these hold no numbers; the pointer tells them. */
const MOST_NUMBERS = 130;
const MOST_TICKS = 16;

/**
 * Say if a heat map of `item` (an entry of "coefficients") shows more than a table of one number an
 * input would.
 */
export function isFlat(item) {
  if (item.segments) return Object.values(item.segments).every((parts) => parts.length === 1);
  return item.rows.every((row) => new Set(valuesOf(row)).size <= 1);
}

/** Return [input, number] of an item that is the same in all layers, for a table. */
export function flatRows(item) {
  if (!item.segments) {
    return item.rows.map((row) => [named(row), valuesOf(row)[0] ?? null]);
  }
  return Object.entries(item.segments).flatMap(([group, [part]]) =>
    item.inputs.map((input, i) => [group === "all" ? input : `${input} · ${group}`, part.weights[i]]),
  );
}

/**
 * Draw one item of a candidate's "coefficients" into `element`.
 *
 * @param {HTMLElement} element Its height is set here.
 * @param {object} item As the API gives it.
 * @param {object} options
 * @param {object} options.minus Another candidate's item of the same stage and option: the
 *   difference is drawn.
 * @returns {Promise<void>} once it is drawn.
 */
export async function drawCoefficients(element, item, { minus = null } = {}) {
  const table = item.segments ? bySegment(item) : byLayer(item, minus);
  element.style.height = `${table.rows.length * ROW_PX + AROUND_PX}px`;
  const what = `${item.option} of ${item.method}`;
  const shown = minus ? `difference in ${what}` : what;
  const label = `Heat map: ${shown}, ${table.rows.length} rows by ${table.over}`;
  const make = (theme) => {
    const [trace] = traces(table, theme, minus !== null);
    return { traces: [trace], layout: { ...layout(table), annotations: numbers(table, trace) } };
  };
  await plot(element, make, { label });
}

/** Return {rows, x, z, over, ticks}: one row an input, one column a layer. */
function byLayer(item, minus) {
  const has = (key) => item.rows.some((row) => row[key] !== null);
  const columns = [
    ...(has("before") ? ["embed"] : []),
    ...Array.from({ length: item.layers }, (_, layer) => String(layer)),
    ...(has("after") ? ["head"] : []),
  ];
  const line = (row) => [
    ...(has("before") ? [row.before] : []),
    ...row.layers,
    ...(has("after") ? [row.after] : []),
  ];
  const other = new Map((minus?.rows ?? []).map((row) => [named(row), line(row)]));
  const z = item.rows.map((row) => {
    const theirs = other.get(named(row));
    return line(row).map((value, i) =>
      !minus || value === null
        ? value
        : theirs?.[i] === undefined || theirs[i] === null
          ? null
          : value - theirs[i],
    );
  });
  const places = columns.map((name) => (/^\d/.test(name) ? `layer ${name}` : name));
  const step = Math.ceil(columns.length / MOST_TICKS);
  const shown = columns
    .map((name, i) => [i, name])
    .filter(([i]) => i % step === 0 || i === columns.length - 1);
  return {
    rows: item.rows.map(named),
    x: columns.map((_, i) => i),
    z,
    over: "layer",
    places,
    title: "layer",
    tickvals: shown.map(([i]) => i),
    ticktext: shown.map(([, name]) => name),
  };
}

/** Return the same of segments: columns as wide as the segments are. */
function bySegment(item) {
  const groups = Object.entries(item.segments);
  const total = Math.max(...groups.map(([group, parts]) => sizeOf(item, group, parts)));
  const edges = [...new Set(groups.flatMap(([, parts]) => parts.map((part) => part.until ?? total)))];
  edges.sort((a, b) => a - b);
  const rows = [];
  const z = [];
  for (const [group, parts] of groups) {
    const size = sizeOf(item, group, parts);
    for (const [i, input] of item.inputs.entries()) {
      rows.push(groups.length === 1 ? input : `${input} · ${group}`);
      z.push(
        edges.map((edge) => {
          if (edge > size) return null;
          return parts.find((part) => (part.until ?? size) >= edge).weights[i];
        }),
      );
    }
  }
  const starts = [0, ...edges.slice(0, -1)];
  const places = edges.map((edge, i) => `elements ${count(starts[i])} to ${count(edge - 1)}`);
  const only = groups.length === 1 ? item.flat?.[groups[0][0]] : null;
  return { rows, x: [0, ...edges], z, over: "segment", places, ...ticks(only) };
}

/** A group's elements; where they aren't known its last segment is taken for as long as the mean. */
function sizeOf(item, group, parts) {
  const known = item.flat?.[group]?.size;
  const last = parts.at(-2)?.until ?? 1;
  return known ?? Math.round(last * (1 + 1 / Math.max(1, parts.length - 1)));
}

/** Return ticks at the layers of a flattened model, if they are known. */
function ticks(flat) {
  if (!flat || !flat.layers.length) return { title: "place in the flattened model" };
  const step = Math.ceil(flat.layers.length / 12);
  const shown = flat.layers.map((start, layer) => [start, layer]).filter(([, layer]) => layer % step === 0);
  return {
    title: "layer",
    tickvals: [...shown.map(([start]) => start), flat.end],
    ticktext: [...shown.map(([, layer]) => String(layer)), "end"],
  };
}

function traces(table, theme, signed) {
  const all = table.z.flat().filter((value) => value !== null);
  const below = signed || all.some((value) => value < 0);
  const most = Math.max(...all.map(Math.abs), 1e-9);
  return [
    {
      type: "heatmap",
      x: table.x,
      y: table.rows.map(plain),
      z: table.z,
      zmin: below ? -most : 0,
      zmax: most,
      colorscale: below ? theme.diverging : theme.ramp,
      xgap: 1,
      ygap: 2,
      hoverongaps: false,
      customdata: table.z.map((line) => line.map((value, i) => [table.places[i], score(value)])),
      hovertemplate: "%{y}<br>%{customdata[0]}: %{customdata[1]}<extra></extra>",
      colorbar: { thickness: 10, outlinewidth: 0, tickfont: { color: theme.ink }, len: 1, nticks: 4 },
    },
  ];
}

/** Return the cells' numbers as annotations, dark or light as the cell asks for. */
function numbers(table, trace) {
  if (table.z.flat().length > MOST_NUMBERS) return [];
  const place = (i) => (table.over === "layer" ? table.x[i] : (table.x[i] + table.x[i + 1]) / 2);
  return table.z.flatMap((line, j) =>
    line.flatMap((value, i) => {
      if (value === null) return [];
      const share = (value - trace.zmin) / (trace.zmax - trace.zmin);
      const font = { size: 11, color: isLight(colourAt(trace.colorscale, share)) ? "#10161d" : "#ffffff" };
      return [{ x: place(i), y: trace.y[j], text: shown(value), showarrow: false, font }];
    }),
  );
}

/** Return red, green and blue of a colour scale at a share of it. */
function colourAt(scale, share) {
  const at = Math.min(scale.length - 2, Math.floor(share * (scale.length - 1)));
  const rest = share * (scale.length - 1) - at;
  const part = (colour, i) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16);
  return [0, 1, 2].map((i) => (1 - rest) * part(scale[at][1], i) + rest * part(scale[at + 1][1], i));
}

/** Say if dark text reads better on a colour than white text (WCAG's luminance). */
function isLight(parts) {
  const [r, g, b] = parts.map((n) => (n / 255 <= 0.04045 ? n / 3294.6 : ((n / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18;
}

function layout(table) {
  return {
    margin: { l: 12, r: 8, t: 8, b: 40 },
    xaxis: {
      title: { text: table.title },
      showgrid: false,
      zeroline: false,
      ...(table.tickvals ? { tickvals: table.tickvals, ticktext: table.ticktext } : {}),
      ticks: "",
      fixedrange: true,
    },
    yaxis: { autorange: "reversed", showgrid: false, ticks: "", fixedrange: true, type: "category" },
  };
}

function named(row) {
  const name = row.input ?? "all inputs";
  return row.role === "all" ? name : `${name} · ${row.role}`;
}

function valuesOf(row) {
  return [row.before, ...row.layers, row.after].filter((value) => value !== null);
}

function shown(value) {
  return Math.abs(value) < 0.005 ? "0" : compact(Number(value.toFixed(2)));
}
