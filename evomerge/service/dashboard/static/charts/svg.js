// The few steps that drawings in SVG share. Texts only ever become text.

const SPACE = "http://www.w3.org/2000/svg";

/** Return a new SVG element with attributes, and `text` in it. */
export function shape(name, attributes = {}, text = null) {
  const found = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) found.setAttribute(key, value);
  }
  if (text !== null) found.textContent = text;
  return found;
}

/** Put a drawing of `width` × `height` pixels into `element`, in place of what was there. */
export function canvas(element, width, height, label) {
  const found = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "drawing" });
  found.setAttribute("aria-label", label);
  element.replaceChildren(found);
  return found;
}

/** Return `text` with at most `most` characters. */
export function cut(text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
