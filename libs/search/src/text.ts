/**
 * What both engines agree on about words: how text is split and folded, which terms of a query count, and what looks like a code.
 * Nothing of a user's text ever reaches a query language: only letters and digits survive `analyseQuery`.
 */
import { oldStyleTones } from './vietnamese.ts';

/** Part of every index definition: raised with each change of how texts become words, codes or exact tokens in an index. */
export const TEXT_FORMAT = 2;

const MAX_QUERY_CHARS = 2_000;
const MAX_TERMS = 24;
const MAX_TERM_CHARS = 64;
const MAX_CODE_CHARS = 500;
/** A word inside a longer query is looked up as a code from this length on: shorter ones ("2019", "mp3") are ordinary words. */
const MIN_CODE_WORD_CHARS = 6;

// Letters that do not decompose into a base letter and a mark.
const UNDECOMPOSED: Readonly<Record<string, string>> = { đ: 'd', Đ: 'D', ð: 'd', Ð: 'D', ł: 'l', Ł: 'L', ø: 'o', Ø: 'O', æ: 'ae', Æ: 'AE', œ: 'oe', Œ: 'OE', ß: 'ss', ı: 'i' };
const WORD = /[\p{L}\p{N}\p{M}\p{Co}]+/gu;

// English words that carry no meaning in a product query; they would also make nearly every product a match.
const STOP_WORDS = new Set('a an and are as at be by for from in is it of on or that the this to was with'.split(' '));

export const isAscii = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
};

/** Without diacritics and in lower case: "Điện" is "dien". NUL becomes a space. Folding twice changes nothing. */
export function fold(text: string): string {
  const lower = text.replaceAll('\0', ' ').toLowerCase();
  if (isAscii(lower)) return lower;
  return lower
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[đÐðĐłŁøØæÆœŒßı]/g, (letter) => UNDECOMPOSED[letter] ?? letter)
    .toLowerCase();
}

export interface Word { readonly text: string; readonly start: number; readonly end: number }

/** Runs of letters, digits and marks, as written, with their place in `text`. */
export function* wordsOf(text: string): Generator<Word> {
  for (const match of text.matchAll(WORD)) yield { text: match[0], start: match.index, end: match.index + match[0].length };
}

/** As written, with its diacritics, in one Unicode form and one place of Vietnamese tones; undefined for a word that folding does not change. */
export function accented(word: string): string | undefined {
  if (isAscii(word)) return undefined;
  const written = oldStyleTones(word.normalize('NFC').toLowerCase());
  return fold(written) === written ? undefined : written;
}

const hasDigit = (text: string): boolean => /\p{N}/u.test(text);

/** Edits that a term may be away from a known word: none for short terms and for whatever looks like a sku (it has a digit). */
export const allowedEdits = (term: string): 0 | 1 | 2 => (hasDigit(term) || term.length < 4 ? 0 : term.length < 8 ? 1 : 2);

/** Lower-case form under which skus, mpns and eans are compared. */
export const codeOf = (text: string): string => text.normalize('NFC').trim().toLowerCase();

/** "WH-1000XM4" and "wh1000 xm4" are one code. Undefined where nothing typical of a code remains: a digit, at least four characters. */
export function compactCode(text: string): string | undefined {
  const compact = fold(text).replace(/[^\p{L}\p{N}]/gu, '');
  return compact.length >= 4 && hasDigit(compact) ? compact : undefined;
}

export interface QueryTerm {
  /** Folded, letters and digits only. */
  readonly folded: string;
  /** As typed, where it was typed with diacritics: exact tones rank before other ones. */
  readonly accented?: string;
}

export interface AnalysedQuery {
  /** Nothing was asked: everything matches. A query of signs alone is not empty, it matches codes or nothing. */
  readonly isEmpty: boolean;
  readonly terms: readonly QueryTerm[];
  /** Codes that the whole query may be, then those that single words of it may be. */
  readonly wholeCodes: readonly string[];
  readonly wordCodes: readonly string[];
}

/** Query terms that count: stop words only where nothing else remains. A stop word with marks is another language's word. */
export function tellingTerms<T extends QueryTerm>(terms: readonly T[]): readonly T[] {
  const telling = terms.filter((term) => term.accented !== undefined || !STOP_WORDS.has(term.folded));
  return telling.length > 0 ? telling : terms;
}

/** The words of a query as they were typed, in their order, repeated ones too. */
export function queryWords(q: string): (Word & QueryTerm)[] {
  return [...wordsOf(q.slice(0, MAX_QUERY_CHARS).normalize('NFC'))].flatMap((word) => {
    const folded = fold(word.text);
    // Marks alone are no word.
    if (folded === '' || folded.length > MAX_TERM_CHARS) return [];
    const written = accented(word.text);
    return [written === undefined ? { ...word, folded } : { ...word, folded, accented: written }];
  });
}

/** Any string is safe: it is cut to a bounded number of terms, stop words are left out where other words remain. */
export function analyseQuery(q: string | undefined): AnalysedQuery {
  const text = (q ?? '').slice(0, MAX_QUERY_CHARS).normalize('NFC').trim();
  const terms = new Map<string, QueryTerm>();
  for (const { folded, accented: written } of queryWords(text)) {
    if (!terms.has(folded)) terms.set(folded, written === undefined ? { folded } : { folded, accented: written });
  }
  const wholeCodes = text.length <= MAX_CODE_CHARS ? codesOf(text) : [];
  const pieces = text.split(/\s+/u).slice(0, MAX_TERMS);
  const wordCodes = pieces.length < 2 ? [] : pieces.filter((piece) => piece.length >= MIN_CODE_WORD_CHARS && hasDigit(piece)).flatMap(codesOf);
  return { isEmpty: text === '', terms: tellingTerms([...terms.values()]).slice(0, MAX_TERMS), wholeCodes, wordCodes: [...new Set(wordCodes)] };
}

/** The forms under which a code is stored and looked up, without repetition. */
export function codesOf(text: string): string[] {
  const code = codeOf(text);
  const compact = compactCode(text);
  return code === '' ? [] : compact === undefined || compact === code ? [code] : [code, compact];
}
