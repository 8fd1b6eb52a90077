import { stemmer } from 'stemmer';
import type { SearchDocument } from './ports.ts';
import { fold, wordsOf } from './text.ts';

const SNIPPET_CHARS = 240;
const LEAD_CHARS = 60;
const FIELDS = ['name', 'brand', 'category', 'mpn', 'sku', 'description'] as const;

export const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');

const MAX_STEMS = 20_000;
const MAX_KEPT_CHARS = 64;
const stems = new Map<string, string>();

/** Words are the same to the index when their folded stems are. The stems of common words are kept: texts repeat them. */
export function stemOf(word: string): string {
  const known = stems.get(word);
  if (known !== undefined) return known;
  const stem = stemmer(fold(word));
  if (stems.size >= MAX_STEMS) stems.clear();
  if (word.length <= MAX_KEPT_CHARS) stems.set(word, stem);
  return stem;
}

/**
 * Fields in which a word has one of the stems, HTML-escaped, with such words between <em> and </em>.
 * A long description is cut around its first match. Text that cannot match is not returned.
 */
export function highlight(product: SearchDocument, wanted: ReadonlySet<string>): Record<string, string> {
  const highlights: Record<string, string> = {};
  if (wanted.size === 0) return highlights;
  for (const field of FIELDS) {
    const marked = markWords((product[field] ?? '').normalize('NFC'), wanted);
    if (marked !== undefined) highlights[field] = marked;
  }
  return highlights;
}

function markWords(text: string, wanted: ReadonlySet<string>): string | undefined {
  const matches = [...wordsOf(text)].filter((word) => wanted.has(stemOf(word.text)));
  const first = matches[0];
  if (first === undefined) return undefined;
  const from = text.length <= SNIPPET_CHARS ? 0 : wordBorder(text, Math.max(0, first.start - LEAD_CHARS));
  const to = Math.max(first.end, text.length - from <= SNIPPET_CHARS ? text.length : wordBorder(text, from + SNIPPET_CHARS));
  let html = from > 0 ? '…' : '';
  let at = from;
  for (const { start, end } of matches.filter((word) => word.end <= to)) {
    html += `${escapeHtml(text.slice(at, start))}<em>${escapeHtml(text.slice(start, end))}</em>`;
    at = end;
  }
  return html + escapeHtml(text.slice(at, to)) + (to < text.length ? '…' : '');
}

/** Moves back to a space where one is near, and never into the middle of a surrogate pair. */
function wordBorder(text: string, at: number): number {
  if (at === 0) return 0;
  const space = text.lastIndexOf(' ', at);
  if (at - space < 40) return space + 1;
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff ? at - 1 : at;
}

