const MAX_DEPTH = 20;
const MAX_NAME = 200;
const MAX_CHARACTERS = 65_536;

/** Postgres holds no NUL in text or jsonb, and no half of a surrogate pair. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();
export const NOT_STORABLE = { error: 'holds a character that cannot be stored (NUL, or half of a surrogate pair)' };

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Is this JSON nested deeper? Level by level, without recursion: its depth is the caller's choice. */
export function isNestedDeeper(root: unknown, maxDepth: number): boolean {
  let level = [root].filter(isObject);
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > maxDepth) return true;
    const next: object[] = [];
    for (const parent of level) for (const value of Object.values(parent)) if (isObject(value)) next.push(value);
    level = next;
  }
  return false;
}

/** Who copies an object by names loses these, or worse. */
export const NAMES_OF_PROTOTYPES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** Why JSON that is kept as it is, and given to nobody else, is refused; undefined: it is not. Its size is somebody else's to bound. */
export function problemOfJson(root: object): string | undefined {
  const open: { readonly value: object; readonly depth: number }[] = [{ value: root, depth: 1 }];
  for (let next = open.pop(); next; next = open.pop()) {
    if (next.depth > MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
    for (const [name, value] of Object.entries(next.value)) {
      if (name.length > MAX_NAME) return `has a name longer than ${MAX_NAME} characters`;
      if (NAMES_OF_PROTOTYPES.has(name)) return `has the name ${name}`;
      if (typeof value === 'object' && value !== null) open.push({ value, depth: next.depth + 1 });
    }
  }
  return undefined;
}

/** Why this JSON object is refused; undefined: it is not. Without recursion: its depth is the caller's choice. */
export function problemOfAttributes(root: object): string | undefined {
  let characters = 0;
  const open: { readonly value: object; readonly depth: number }[] = [{ value: root, depth: 1 }];
  for (let next = open.pop(); next; next = open.pop()) {
    if (next.depth > MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
    for (const [name, value] of Object.entries(next.value)) {
      if (name.length > MAX_NAME) return `has a name longer than ${MAX_NAME} characters`;
      characters += name.length + (typeof value === 'string' ? value.length : 4);
      if (characters > MAX_CHARACTERS) return `is larger than ${MAX_CHARACTERS} characters`;
      if (!isStorable(name) || (typeof value === 'string' && !isStorable(value))) return NOT_STORABLE.error;
      if (typeof value === 'object' && value !== null) open.push({ value, depth: next.depth + 1 });
    }
  }
  return undefined;
}
