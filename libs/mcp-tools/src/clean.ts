/**
 * What no text for a model may hold: control characters but tab and line feed, format characters (bidi overrides, zero-width spaces, tags), line and paragraph
 * separators, halves of surrogate pairs, and whatever else is there and not seen (Unicode's ignorable characters: selectors, fillers; the empty braille
 * pattern). But for the two joiners that scripts and emoji need, and the selector of emoji.
 */
const HIDDEN = /(?!\t|\n|\u200C|\u200D|\uFE0F)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;
/** One selects the look of an emoji; many in a row are a message. */
const SELECTORS = /\uFE0F{2,}/gu;
const JOINERS = /[\u200C\u200D]{2,}/gu;

const MAX_DEPTH = 20;
const MAX_ITEMS = 1_000;
/** Longest text that is given on. */
export const MAX_TEXT = 4_000;

/** The text without hidden characters, at most `max` characters of it, and well-formed. */
export function cleanText(text: string, max = MAX_TEXT): string {
  // Cut first: nobody waits for the cleaning of what is thrown away.
  const clean = text.slice(0, max * 2).replace(HIDDEN, '').replace(SELECTORS, '\uFE0F').replace(JOINERS, '\u200D');
  if (clean.length <= max) return clean;
  return `${clean.slice(0, max - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

/** Every text in a JSON value cleaned, names too; what is nested deeper than 20 levels becomes null, lists end after 1,000 items. */
export function cleanValue(value: unknown, depth = 1): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return null;
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((one: unknown) => cleanValue(one, depth + 1));
  return Object.fromEntries(Object.entries(value).filter(([name, one]) => one !== undefined && name !== '__proto__').map(([name, one]) => [cleanText(name, 200), cleanValue(one, depth + 1)]));
}
