// The few steps by which the report becomes a page. Texts only ever become text.

/** Return a new element: attributes, then children, of which texts and numbers become text. */
export function el(name, attributes = {}, ...children) {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) found.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) found.setAttribute(key, value);
  }
  found.append(...children.flat().filter((child) => child !== null && child !== undefined).map((child) => (
    child instanceof Node ? child : String(child)
  )));
  return found;
}

/** Return a titled part of the report; none where it has nothing in it. */
export function card(title, quiet, ...children) {
  const inside = children.flat().filter((child) => child !== null && child !== undefined);
  if (!inside.length) return null;
  const note = quiet ? el("span", { class: "quiet" }, quiet) : null;
  const head = el("div", { class: "card-title" }, el("h2", {}, title), note);
  return el("section", { class: "card" }, head, inside);
}

/**
 * Return a table. A cell is a text, a number, an element, or {text, class}.
 * @param {{text: string, class: string}[]|string[]} columns
 * @param {Array[]} rows
 * @param {object} options
 * @param {number} options.marked A row that stands out.
 */
export function table(columns, rows, { marked = -1 } = {}) {
  const cell = (name, extra) => (item) => {
    const dressed = item !== null && typeof item === "object" && !(item instanceof Node);
    return dressed ? el(name, { class: item.class, ...extra }, item.text) : el(name, extra, item);
  };
  const line = (row, index) => el("tr", { class: index === marked ? "marked" : null }, row.map(cell("td")));
  return el("div", { class: "table-wrap", tabindex: "0" }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, columns.map(cell("th", { scope: "col" })))),
    el("tbody", {}, rows.map(line)),
  ));
}

/** Return labelled figures: [[label, text], …]. */
export function figures(pairs) {
  const one = ([label, text]) => el("div", {}, el("dt", {}, label), el("dd", {}, text));
  return el("dl", { class: "figures" }, pairs.map(one));
}

/** Return a block that opens on a click; on paper it is as it is on the screen. */
export function folded(title, ...children) {
  return el("details", {}, el("summary", {}, title), children);
}

/** Return a number as a cell. */
export function right(text) {
  return { text, class: "number" };
}
