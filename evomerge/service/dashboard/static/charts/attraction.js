// Whom each member of an archive would be drawn to, and with whom it had children.

import { plain, plot } from "evomerge/chart.js";
import { colourbar } from "evomerge/charts/niche_map.js";
import { brief } from "evomerge/charts/names.js";
import { compact, plural } from "evomerge/format.js";

const ROW_PX = 22;
const AROUND_PX = 96;
const MOST_NUMBERS = 24; // members beside which counts of children have room

/**
 * Draw how much each member would add to each other one, with the children that pairs had.
 *
 * @param {HTMLElement} element Its height is set here.
 * @param {object} niches `examples` of the API's answer on niches.
 * @returns {Promise<void>} once it is drawn.
 */
export function drawAttraction(element, niches) {
  const { candidates, value } = niches.attraction;
  const children = new Map(niches.pairs.map((pair) => [`${pair.first}\n${pair.second}`, pair.children]));
  const had = candidates.map((first) => candidates.map((second) => children.get(`${first}\n${second}`) ?? 0));
  const z = value.map((row, i) => row.map((found, j) => (i === j ? null : found)));
  const text = z.map((row, i) =>
    row.map((found, j) => {
      if (found === null) return "";
      const mates = had[i][j] ? `; ${plural(had[i][j], "child").replace("childs", "children")}` : "";
      return `${plain(candidates[j])} would add ${compact(found)} to ${plain(candidates[i])}${mates}`;
    }),
  );
  element.style.height = `${candidates.length * ROW_PX + AROUND_PX}px`;
  const names = candidates.map((name) => plain(brief(name, 12)));
  const top = Math.max(0, ...z.flat().filter((found) => found !== null));
  const make = (theme) => ({
    traces: [
      {
        type: "heatmap",
        z,
        text,
        hoverinfo: "text",
        colorscale: theme.ramp,
        zmin: 0,
        zmax: top || 1,
        xgap: 1,
        ygap: 1,
        colorbar: colourbar("would add", theme),
      },
    ],
    layout: {
      margin: { l: 48, r: 8, t: 40, b: 56 },
      xaxis: {
        title: { text: "second parent" }, tickvals: names.map((_, i) => i), ticktext: names,
        showgrid: false, zeroline: false, ticks: "", fixedrange: true,
      },
      yaxis: {
        title: { text: "first parent" }, tickvals: names.map((_, i) => i), ticktext: names,
        autorange: "reversed", showgrid: false, zeroline: false, ticks: "", fixedrange: true,
      },
      annotations: candidates.length > MOST_NUMBERS ? [] : counts(had, z, top, theme),
    },
  });
  return plot(element, make, {
    label: `Attraction between ${plural(candidates.length, "member")}; numbers are children that pairs had`,
  });
}

function counts(had, z, top, theme) {
  return had.flatMap((row, i) =>
    row.flatMap((n, j) =>
      n === 0 || z[i][j] === null
        ? []
        : [{ x: j, y: i, text: String(n), showarrow: false,
             font: { size: 11, color: z[i][j] > 0.5 * top ? theme.surface : theme.ink } }],
    ),
  );
}
