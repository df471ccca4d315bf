// Names beside points of a chart, placed so that they don't cover each other.

import { plain } from "evomerge/chart.js";

const HEIGHT = 14;
const LETTER = 6; // about, in px
const MOST = 40;
const MARGIN = { l: 56, r: 12, t: 34, b: 46 };

/**
 * Return Plotly's annotations for labels, above, below or beside their points; what has no room is
 * left out.
 *
 * @param {HTMLElement} element The chart's.
 * @param {{place: [number, number], text: string}[]} labels The most important ones first.
 * @param {[number, number][]} ranges Of both axes.
 * @param {object} colours The theme's.
 */
export function placeLabels(element, labels, ranges, colours) {
  const [width, height] = [
    Math.max(1, element.clientWidth - MARGIN.l - MARGIN.r),
    Math.max(1, element.clientHeight - MARGIN.t - MARGIN.b),
  ];
  const pixel = ([x, y]) => [
    (width * (x - ranges[0][0])) / (ranges[0][1] - ranges[0][0]),
    (height * (ranges[1][1] - y)) / (ranges[1][1] - ranges[1][0]),
  ];
  const taken = labels.map(({ place }) => boxOf(...pixel(place), 12, 12));
  const found = [];
  for (const { place, text } of labels) {
    const words = text.length > MOST ? `${text.slice(0, MOST - 1)}…` : text;
    const [x, y] = pixel(place);
    const wide = LETTER * words.length;
    const shifts = [[0, -14], [0, 14], [wide / 2 + 10, 0], [-wide / 2 - 10, 0]];
    const shift = shifts.find(([dx, dy]) => {
      const box = boxOf(x + dx, y + dy, wide, HEIGHT);
      const inside = box[0] >= 0 && box[1] <= width && box[2] >= 0 && box[3] <= height;
      return inside && !taken.some((other) => overlap(box, other));
    });
    if (!shift) continue;
    taken.push(boxOf(x + shift[0], y + shift[1], wide, HEIGHT));
    found.push({
      x: place[0],
      y: place[1],
      xshift: shift[0],
      yshift: -shift[1],
      text: plain(words),
      showarrow: false,
      font: { size: 11, color: colours.ink },
    });
  }
  return found;
}

function boxOf(x, y, width, height) {
  return [x - width / 2, x + width / 2, y - height / 2, y + height / 2];
}

function overlap(a, b) {
  return a[0] < b[1] && b[0] < a[1] && a[2] < b[3] && b[2] < a[3];
}
