/** Readers of Redis' untyped replies: a reply of another shape is a bug or another server, and throws. */
export function asList(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new TypeError(`expected a list from Redis, got ${typeof reply}`);
  return reply;
}

export function asText(reply: unknown): string {
  if (typeof reply === 'string') return reply;
  if (typeof reply === 'number') return String(reply);
  throw new TypeError(`expected text from Redis, got ${reply === null ? 'nil' : typeof reply}`);
}

export function asTexts(reply: unknown): readonly string[] {
  const list = asList(reply);
  // The usual case, and a hot one: nothing to convert, nothing to copy.
  return list.every((item): item is string => typeof item === 'string') ? list : list.map(asText);
}

/** A flat list name, value, name, value (HGETALL, XINFO, stream fields). */
export function asFields(reply: unknown): ReadonlyMap<string, unknown> {
  const list = asList(reply);
  const fields = new Map<string, unknown>();
  for (let index = 0; index + 1 < list.length; index += 2) fields.set(asText(list[index]), list[index + 1]);
  return fields;
}

/** Entries of a stream as XRANGE, XCLAIM and XREAD list them; nil entries (claimed but deleted) are left out. */
export function asEntries(reply: unknown): readonly { readonly id: string; readonly fields: readonly string[] }[] {
  return asList(reply).flatMap((entry) => {
    if (entry === null) return [];
    const [id, fields] = asList(entry);
    return fields === null ? [] : [{ id: asText(id), fields: asTexts(fields) }];
  });
}
