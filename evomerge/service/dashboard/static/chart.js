// Draws with Plotly: loads it once, gives it the theme, and keeps charts in size.

import { colours } from "evomerge/colours.js";

let library;

/** Return Plotly; a page that embeds it has it already. */
export function loadPlotly() {
  if (globalThis.Plotly) return Promise.resolve(globalThis.Plotly);
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = import.meta.resolve("evomerge/plotly.min.js");
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => reject(new Error("The chart library can't be loaded."));
    document.head.append(script);
  });
  return library;
}

/** Return `text` as Plotly shows it literally: it reads some tags and entities otherwise. */
export function plain(text) {
  return String(text ?? "").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/**
 * Draw a chart into `element`, or draw it anew where one is.
 *
 * @param {HTMLElement} element Its size is the chart's; give it a height by style.
 * @param {(colours: object) => {traces: object[], layout?: object}} make Gives Plotly's traces and
 *   layout with the colours of the theme; called again when the theme is switched.
 * @param {object} options
 * @param {string} options.label What the chart shows, in words, for those who don't see it.
 * @param {string} options.role "group" for a chart with buttons of its own; an image has none.
 * @param {Object<string, Function>} options.on Plotly's events without "plotly_": {click: …}.
 * @returns {Promise<void>} once it is drawn.
 */
export async function plot(element, make, { label = "", role = "img", on = {} } = {}) {
  const plotly = await loadPlotly();
  const first = !drawn.has(element);
  drawn.set(element, make);
  element.setAttribute("role", role);
  element.setAttribute("aria-label", label);
  await draw(plotly, element);
  if (first) sizes.observe(element);
  for (const [name, listener] of Object.entries(on)) {
    element.removeAllListeners?.(`plotly_${name}`);
    element.on(`plotly_${name}`, listener);
  }
}

/** Take a chart away; for views that are left. */
export function unplot(element) {
  if (!element || !drawn.delete(element)) return;
  sizes.unobserve(element);
  globalThis.Plotly?.purge(element);
}

const drawn = new Map();

function draw(plotly, element) {
  const theme = colours();
  const { traces, layout = {} } = drawn.get(element)(theme);
  return plotly.react(element, traces, themed(layout, theme), {
    displaylogo: false,
    showSendToCloud: false, // Nothing is sent to other hosts.
    displayModeBar: element.getAttribute("role") === "img" ? false : "hover",
    modeBarButtonsToRemove: ["toImage", "autoScale2d", "lasso2d", "select2d"],
    responsive: false,
  });
}

function themed(layout, theme) {
  const axis = {
    gridcolor: theme.line,
    zerolinecolor: theme.line,
    linecolor: theme.line,
    tickcolor: theme.line,
    automargin: true,
    title: { font: { size: 12 } },
  };
  // Plotly measures texts elsewhere on the page, where another font would be inherited.
  const family = getComputedStyle(document.body).fontFamily;
  const dressed = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family, size: 12, color: theme.ink },
    colorway: theme.series,
    margin: { l: 48, r: 12, t: 12, b: 40 },
    hoverlabel: {
      bgcolor: theme.surface,
      bordercolor: theme.line,
      font: { family, color: theme.ink },
      align: "left",
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.quiet, activecolor: theme.accent },
    legend: {
      orientation: "h",
      itemsizing: "constant",
      y: 1.02,
      yanchor: "bottom",
      x: 0,
      font: { color: theme.ink },
    },
    ...layout,
  };
  for (const key of new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((k) => /^[xy]axis/.test(k))])) {
    dressed[key] = { ...axis, ...layout[key] };
  }
  return dressed;
}

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (drawn.has(target) && target.offsetWidth) globalThis.Plotly?.Plots.resize(target);
  }
});

// Quasar marks the dark theme by a class of the body.
new MutationObserver(() => {
  for (const element of drawn.keys()) draw(globalThis.Plotly, element);
}).observe(document.body, { attributes: true, attributeFilter: ["class"] });
