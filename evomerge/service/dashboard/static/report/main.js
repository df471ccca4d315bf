// A report of a run: reads what the file holds and shows it, without asking anybody for anything.

import { el } from "evomerge/report/dom.js";
import { bestModel, niches, recipes } from "evomerge/report/models.js";
import { provenance } from "evomerge/report/provenance.js";
import { front, course, failures } from "evomerge/report/search.js";
import { heading, testScores } from "evomerge/report/scores.js";

const find = (id) => document.getElementById(id);

/** Make the chart library, which the file holds compressed. */
async function unpackPlotly() {
  const letters = find("plotly").textContent;
  const bytes = Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(el("script", {}, await new Response(stream).text()));
  find("plotly").remove();
}

function useTheme() {
  const wanted = matchMedia("(prefers-color-scheme: dark)");
  const show = (dark) => document.body.classList.toggle("body--dark", dark);
  let dark = wanted.matches;
  show(dark);
  wanted.addEventListener("change", () => show((dark = wanted.matches)));
  // Paper is white.
  addEventListener("beforeprint", () => show(false));
  addEventListener("afterprint", () => show(dark));
  return () => show((dark = !dark));
}

const switchTheme = useTheme();
const page = find("report");
const contents = JSON.parse(find("contents").textContent);
const parts = [testScores, front, course, bestModel, niches, failures, recipes, provenance];
page.replaceChildren(heading(contents, switchTheme));
try {
  await unpackPlotly();
  for (const part of parts) {
    const { element, draw } = part(contents);
    if (!element) continue;
    page.append(element);
    // Charts take their size from the page, so they are drawn once they are on it.
    await draw?.();
  }
  page.setAttribute("data-ready", "");
} catch (error) {
  const text = `The report can't be shown: ${error.message}`;
  page.append(el("p", { class: "notice notice-bad", role: "alert" }, text));
}
