// Plain data as YAML text: in one line, as values that are put into a text, or as a whole run file.

// Texts that need no quotes in YAML 1.2, inside brackets too.
const PLAIN = /^[A-Za-z_/.][A-Za-z0-9_/.-]*( [A-Za-z0-9_/.-]+)*$/;
const WIDTH = 96;

/** Return what the unquoted `text` means: a number, a truth value, null, or a text. */
export function scalarOf(text) {
  if (/^(~|null|Null|NULL|)$/.test(text)) return null;
  if (/^(true|True|TRUE)$/.test(text)) return true;
  if (/^(false|False|FALSE)$/.test(text)) return false;
  if (/^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/.test(text)) return Number(text);
  return text;
}

/** Return plain data as YAML in one line. */
export function inLine(value) {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return `[${value.map(inLine).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, item]) => `${inLine(key)}: ${inLine(item)}`).join(", ")}}`;
  }
  if (typeof value !== "string") return String(value);
  const literal = /^[-+]?\.(inf|nan)$/i.test(value) || typeof scalarOf(value) !== "string";
  return PLAIN.test(value) && !literal ? value : JSON.stringify(value);
}

/** Return plain data as YAML of several lines, as people write run files: what is short in one line. */
export function inLines(value, indent = "") {
  if (Array.isArray(value)) {
    return value.map((item) => `${indent}- ${nested(item, `${indent}  `).trimStart()}`).join("");
  }
  return Object.entries(value).map(([key, item]) => {
    const name = `${indent}${inLine(key)}:`;
    const short = ` ${inLine(item)}`;
    // The blocks at the top always have lines of their own.
    const inner = indent !== "" || Array.isArray(item);
    const fits = inner && !isSmall(item) && isFlat(item) && name.length + short.length <= WIDTH;
    return isSmall(item) || fits ? `${name}${short}\n` : `${name}\n${inLines(item, `${indent}  `)}`;
  }).join("");
}

function nested(item, indent) {
  return isSmall(item) ? `${inLine(item)}\n` : inLines(item, indent);
}

function isSmall(item) {
  return item === null || typeof item !== "object" || !Object.keys(item).length;
}

function isFlat(item) {
  return Object.values(item).every((part) => part === null || typeof part !== "object");
}
