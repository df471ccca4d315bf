// What the schema of run files says of a key: its help, bounds, choices and default.

/** Return the schema of `path`, references followed; an empty object where there is none. */
export function schemaOf(schema, path) {
  let found = schema;
  for (const key of path) found = below(schema, found, key);
  return found;
}

/** Return `config` without what is the default, as people write run files. */
export function withoutDefaults(schema, config, at = schema) {
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, value]) => {
      const part = below(schema, at, key);
      if (value === null || JSON.stringify(value) === JSON.stringify(part.default)) return [];
      const kept = lean(schema, value, part);
      const optional = at.properties?.[key] && !(at.required ?? []).includes(key);
      return optional && isEmpty(kept) ? [] : [[key, kept]];
    }),
  );
}

function lean(schema, value, part) {
  if (isMapping(value) && (part.properties || part.additionalProperties)) {
    return withoutDefaults(schema, value, part);
  }
  if (Array.isArray(value) && part.items) {
    return value.map((item, index) => lean(schema, item, below(schema, part, index)));
  }
  return value;
}

function below(schema, at, key) {
  if (typeof key === "number") return resolved(schema, at.items ?? {});
  const own = at.properties?.[key];
  const more = isMapping(at.additionalProperties) ? at.additionalProperties : {};
  return resolved(schema, own ?? more);
}

function resolved(schema, part) {
  // What may be null is written as one of two; the help and the default stand beside it.
  const choice = part.anyOf?.find((item) => item.type !== "null") ?? {};
  const name = (part.$ref ?? choice.$ref)?.replace("#/$defs/", "");
  const { anyOf: _, $ref: __, ...own } = part;
  return { ...(name ? schema.$defs[name] : choice), ...own };
}

function isMapping(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function isEmpty(value) {
  return value !== null && typeof value === "object" && !Object.keys(value).length;
}
