// Who covers which examples: members by examples as a heat map, and what they cover together.

import { plain, plot } from "evomerge/chart.js";
import { plural, score } from "evomerge/format.js";
import { brief } from "evomerge/charts/names.js";

const ROW_PX = 18;
const AROUND_PX = 68;
const TOGETHER = "all together";

/**
 * Draw the members' scores on examples, the fittest member at the top.
 *
 * @param {HTMLElement} element Its height is set here.
 * @param {object} niches `examples` of the API's answer on niches.
 * @param {object} options
 * @param {(candidate: string, task: string) => void} options.onPick Called on a click on a score.
 * @returns {Promise<void>} once it is drawn.
 */
export function drawNicheMap(element, niches, { onPick } = {}) {
  const { parts, columns, scores, best } = niches.map;
  const names = niches.members.slice(0, scores.length).map((member) => member.candidate);
  // An empty column keeps tasks apart.
  const gap = Math.max(1, Math.round(columns.length / 150));
  const places = parts.flatMap((part, i) => [
    ...Array(i === 0 ? 0 : gap).fill(null),
    ...Array.from({ length: part.n }, (_, k) => part.first + k),
  ]);
  const line = (values) => places.map((place) => (place === null ? null : values[place]));
  const rows = [...names, "", TOGETHER];
  const z = [...scores.map(line), places.map(() => null), line(best)];
  const partOf = (place) => parts.findLast((part) => part.first <= place);
  const text = z.map((row, y) =>
    row.map((value, x) => {
      if (value === null) return "";
      const part = partOf(places[x]);
      const which = `${plain(part.task)} ${examplesOf(columns[places[x]], part, niches)}`;
      return `${plain(rows[y])} · ${which}: ${score(value)}`;
    }),
  );
  element.style.height = `${rows.length * ROW_PX + AROUND_PX}px`;
  const each = Math.max(1, Math.ceil(names.length / 40));
  const narrow = element.clientWidth < 500;
  const make = (theme) => ({
    traces: [
      {
        type: "heatmap",
        z,
        x: places.map((_, i) => i),
        y: rows.map((_, i) => i),
        text,
        hoverinfo: "text",
        colorscale: theme.ramp,
        zmin: 0,
        zmax: 1,
        xgap: columns.length <= 120 ? 1 : 0,
        ygap: 1,
        colorbar: colourbar("score", theme),
      },
    ],
    layout: {
      margin: { l: 48, r: 8, t: 40, b: 28 },
      xaxis: {
        side: "bottom",
        showgrid: false,
        zeroline: false,
        tickvals: parts.map((part) => middle(places, part)),
        ticktext: parts.map((part) => plain(brief(`${part.task}`, narrow ? 12 : 40))),
        ticks: "",
        fixedrange: true,
      },
      yaxis: {
        autorange: "reversed",
        showgrid: false,
        zeroline: false,
        tickvals: rows.map((_, i) => i).filter((i) => i >= names.length || i % each === 0),
        ticktext: rows
          .filter((_, i) => i >= names.length || i % each === 0)
          .map((name) => plain(brief(name, 16))),
        ticks: "",
        fixedrange: true,
      },
    },
  });
  const label =
    `Map of ${plural(names.length, "member")} and ${plural(columns.length, "column")} of examples; ` +
    `together they reach ${score(niches.coverage)}`;
  const click = ({ points: [point] }) => {
    const name = names[point.y];
    const place = places[point.x];
    if (name !== undefined && place !== null) onPick?.(name, partOf(place).task);
  };
  return plot(element, make, { label, on: { click } });
}

/** Return Plotly's settings of a colour bar above a chart; `title` may be empty. */
export function colourbar(title, theme) {
  return {
    orientation: "h",
    thickness: 8,
    len: 160,
    lenmode: "pixels",
    xref: "container",
    x: 0.99,
    xanchor: "right",
    yref: "container",
    y: 0.99,
    yanchor: "top",
    xpad: 0,
    ypad: 0,
    outlinewidth: 0,
    title: title ? { text: title, side: "top", font: { size: 11, color: theme.quiet } } : undefined,
    tickfont: { size: 10, color: theme.quiet },
    nticks: 4,
  };
}

function examplesOf(numbers, part, niches) {
  const own = niches.parts.find((found) => found.task === part.task && found.metric === part.metric);
  const first = numbers[0] - own.first;
  return numbers.length === 1 ? `example ${first}` : `${plural(numbers.length, "example")} like ${first}`;
}

function middle(places, part) {
  const first = places.indexOf(part.first);
  return first + (part.n - 1) / 2;
}
