// Whom to ask and how: in the address, and as the API takes it.

/** Most candidates that one prompt goes to. */
export const MOST = 4;

export const DEFAULTS = {
  candidates: [],
  parents: false,
  base: true,
  sources: false,
  system: "",
  template: true,
  tokens: 128,
  temperature: 0,
  seed: 0,
};

const WITH = ["parents", "base", "sources"];

/** Return what the address chooses; `chosen` of address.js. */
export function readChoice({ one, all }) {
  const others = one("with");
  const isAsked = (name) => (others ? others.split(",").includes(name) : DEFAULTS[name]);
  return {
    candidates: [...new Set(all("candidate"))].slice(0, MOST),
    ...Object.fromEntries(WITH.map((name) => [name, isAsked(name)])),
    system: one("system"),
    template: one("template") !== "off",
    tokens: within(one("tokens"), 1, 2048, DEFAULTS.tokens),
    temperature: within(one("temperature"), 0, 5, DEFAULTS.temperature),
    seed: within(one("seed"), 0, 2 ** 31 - 1, DEFAULTS.seed),
  };
}

/** Return what stands in the address; what is as usual is left out. */
export function toAddress(choice) {
  const others = WITH.filter((name) => choice[name]).join(",") || "nobody";
  const unusual = (name) => [name, choice[name] === DEFAULTS[name] ? "" : choice[name]];
  return {
    candidate: choice.candidates,
    with: others === "base" ? "" : others,
    system: choice.system,
    template: choice.template ? "" : "off",
    ...Object.fromEntries(["tokens", "temperature", "seed"].map(unusual)),
  };
}

/** Return the request: `prompt` to those who are chosen, after the talk `follows` or none. */
export function toBody(choice, prompt, follows) {
  return {
    prompt,
    follows,
    candidates: choice.candidates,
    parents: choice.parents,
    base: choice.base,
    sources: choice.sources,
    system: choice.system,
    chat_template: choice.template,
    max_new_tokens: choice.tokens,
    temperature: choice.temperature,
    seed: choice.seed,
  };
}

/** Return whom a talk asked and how, so that the next turn asks them too. */
export function fromTalk(talk) {
  const of = (role) => talk.answers.filter((item) => item.role === role);
  return {
    candidates: of("candidate").map((item) => item.model),
    parents: of("parent").length > 0,
    base: of("base").length > 0,
    sources: of("source").length > 0,
    system: talk.system,
    template: talk.chat_template,
    tokens: talk.max_new_tokens,
    temperature: talk.temperature,
    seed: talk.seed,
  };
}

function within(text, low, high, otherwise) {
  const value = Number(text);
  return text !== "" && Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
}
