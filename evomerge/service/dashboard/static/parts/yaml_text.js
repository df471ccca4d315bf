// A YAML text by keys: reads values, tells where they stand, and changes some without touching the rest.

import { languages } from "nicegui-codemirror";
import { inLine, scalarOf } from "evomerge/parts/yaml_write.js";

let support;

/** Return the editor's support for YAML, loaded once. */
export function loadYaml() {
  support ??= languages.find((item) => item.name === "YAML").load();
  return support;
}

const NO_VALUE = new Set(["Key", ":", "Comment", "⚠", "Anchor", "Tag", "?"]);

/** A text and its tree. Paths are lists of keys and numbers; a change is {from, to, insert}. */
export class YamlText {
  /** @param {string} text @param {object} parser That of `loadYaml()`'s language. */
  constructor(text, parser) {
    this.text = text;
    const document = parser.parse(text).topNode.getChild("Document");
    this.root = document && content(document);
  }

  /** Return the plain data at `path`, undefined where there is none. */
  value(...path) {
    const found = this.descend(path);
    return found.rest.length ? undefined : this.plain(found.node);
  }

  /** Return the keys of the mapping at `path`, in order. */
  keys(...path) {
    const found = this.descend(path);
    if (found.rest.length || !isMapping(found.node)) return [];
    return found.node.getChildren("Pair").map((pair) => this.keyOf(pair));
  }

  /** Return where the key "recipe.parameters[0].method" stands, or the nearest that is there. */
  place(key) {
    let node = this.root;
    let at = null;
    let rest = key;
    while (node && rest) {
      const next = this.named(node, rest);
      if (!next) break;
      ({ rest } = next);
      at = next.holder;
      node = content(at);
    }
    if (!at) return null;
    const name = at.getChild("Key");
    return name && at.name === "Pair" ? { from: name.from, to: name.to } : { from: at.from, to: at.to };
  }

  /** Return the change that makes `path` be `value`. */
  set(path, value) {
    const { holder, node, rest } = this.descend(path);
    if (!rest.length) return this.replace(holder, node, inLine(value));
    if (isMapping(node)) return this.insertPair(node, inLine(rest[0]), inLine(wrapped(rest.slice(1), value)));
    if (isSequence(node)) return this.insertItem(node, inLine(wrapped(rest.slice(1), value)));
    return this.replace(holder, node, inLine(wrapped(rest, value)));
  }

  /** Return the change that takes `path` away; null where it isn't there. */
  remove(path) {
    const { holder, rest } = this.descend(path);
    if (rest.length || !holder) return null;
    const parent = holder.parent;
    const siblings = parent.getChildren(holder.name);
    const index = siblings.findIndex((item) => item.from === holder.from);
    if (parent.name.startsWith("Flow")) return this.cut(siblings, index);
    if (siblings.length === 1) {
      const above = this.descend(path.slice(0, -1));
      return this.replace(above.holder, above.node, isMapping(parent) ? "{}" : "[]");
    }
    const start = this.lineStart(holder.from);
    const before = this.text.slice(start, holder.from).trim();
    if (before === (holder.name === "Item" ? "-" : "")) {
      return { from: start, to: Math.min(this.lineEnd(holder.to) + 1, this.text.length), insert: "" };
    }
    // The first key of a list's item shares its line with the dash.
    return { from: holder.from, to: siblings[index + 1].from, insert: "" };
  }

  /** Return the change that gives the key at `path` the name `name`. */
  rename(path, name) {
    const { holder, rest } = this.descend(path);
    const key = rest.length ? null : holder?.getChild("Key");
    return key ? { from: key.from, to: key.to, insert: inLine(name) } : null;
  }

  // -- the tree ---------------------------------------------------------------------------------

  descend(path) {
    let found = { holder: null, node: this.root };
    for (const [index, key] of path.entries()) {
      const holder = this.child(found.node, key);
      if (!holder) return { ...found, rest: path.slice(index) };
      found = { holder, node: content(holder) };
    }
    return { ...found, rest: [] };
  }

  child(node, key) {
    if (isMapping(node)) return node.getChildren("Pair").find((pair) => this.keyOf(pair) === key) ?? null;
    if (isSequence(node)) return node.getChildren("Item")[key] ?? null;
    return null;
  }

  /** Return what a dotted key names first below `node`, and what is left of the key. */
  named(node, key) {
    const number = /^\[(\d+)\]\.?/.exec(key);
    if (number && isSequence(node)) {
      const holder = this.child(node, Number(number[1]));
      return holder && { holder, rest: key.slice(number[0].length) };
    }
    if (!isMapping(node)) return null;
    for (const holder of node.getChildren("Pair")) {
      const name = this.keyOf(holder);
      if (key === name) return { holder, rest: "" };
      if (key.startsWith(`${name}.`)) return { holder, rest: key.slice(name.length + 1) };
      if (key.startsWith(`${name}[`)) return { holder, rest: key.slice(name.length) };
    }
    return null;
  }

  keyOf(pair) {
    const key = pair.getChild("Key");
    return key ? String(this.plain(content(key)) ?? "") : "";
  }

  plain(node) {
    if (!node) return null;
    if (isMapping(node)) {
      return Object.fromEntries(
        node.getChildren("Pair").map((pair) => [this.keyOf(pair), this.plain(content(pair))]),
      );
    }
    if (isSequence(node)) return node.getChildren("Item").map((item) => this.plain(content(item)));
    const text = this.text.slice(node.from, node.to);
    if (node.name === "QuotedLiteral") return unquoted(text);
    if (node.name === "Literal") return scalarOf(text.replace(/\s*\n\s*/g, " "));
    return node.name === "Anchored" || node.name === "Tagged" ? this.plain(content(node)) : text;
  }

  // -- changes ----------------------------------------------------------------------------------

  replace(holder, node, insert) {
    const colon = holder?.getChild(":");
    // A block that becomes one line moves up to its key, unless a comment stands between.
    if (node && colon && /^\s*$/.test(this.text.slice(colon.to, node.from))) {
      return { from: colon.to, to: node.to, insert: ` ${insert}` };
    }
    if (node) return { from: node.from, to: node.to, insert };
    if (colon) return { from: colon.to, to: colon.to, insert: ` ${insert}` };
    return this.appendLine(insert);
  }

  insertPair(node, key, value) {
    const pairs = node.getChildren("Pair");
    if (node.name === "FlowMapping") return this.insertInside(node, `${key}: ${value}`, pairs.at(-1));
    const indent = this.column(pairs[0].from);
    const at = this.lineEnd(pairs.at(-1).to);
    return { from: at, to: at, insert: `\n${indent}${key}: ${value}` };
  }

  insertItem(node, value) {
    const items = node.getChildren("Item");
    if (node.name === "FlowSequence") return this.insertInside(node, value, items.at(-1));
    const at = this.lineEnd(items.at(-1).to);
    return { from: at, to: at, insert: `\n${this.column(node.from)}- ${value}` };
  }

  insertInside(node, insert, last) {
    if (!last) return { from: node.from + 1, to: node.from + 1, insert };
    return { from: last.to, to: last.to, insert: `, ${insert}` };
  }

  cut(siblings, index) {
    const next = siblings[index + 1];
    if (next) return { from: siblings[index].from, to: next.from, insert: "" };
    const before = siblings[index - 1];
    return { from: before ? before.to : siblings[index].from, to: siblings[index].to, insert: "" };
  }

  appendLine(insert) {
    const at = this.text.length;
    return { from: at, to: at, insert: `${this.text && !this.text.endsWith("\n") ? "\n" : ""}${insert}\n` };
  }

  lineStart(at) {
    return this.text.lastIndexOf("\n", at - 1) + 1;
  }

  lineEnd(at) {
    const found = this.text.indexOf("\n", at);
    return found < 0 ? this.text.length : found;
  }

  /** Return the spaces before the column in which `at` stands. */
  column(at) {
    return " ".repeat(at - this.lineStart(at));
  }
}

/** Return `text` after `changes`, none of which overlap. */
export function changed(text, changes) {
  return [...changes]
    .sort((a, b) => b.from - a.from)
    .reduce((found, { from, to, insert }) => found.slice(0, from) + insert + found.slice(to), text);
}

function content(holder) {
  let found = null;
  for (let child = holder.firstChild; child; child = child.nextSibling) {
    if (!NO_VALUE.has(child.name)) found = child;
  }
  return found;
}

function isMapping(node) {
  return node?.name === "BlockMapping" || node?.name === "FlowMapping";
}

function isSequence(node) {
  return node?.name === "BlockSequence" || node?.name === "FlowSequence";
}

function wrapped(path, value) {
  return path.reduceRight((inner, key) => (typeof key === "number" ? [inner] : { [key]: inner }), value);
}

function unquoted(text) {
  if (text.startsWith("'")) return text.slice(1, -1).replaceAll("''", "'");
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(1, -1);
  }
}
