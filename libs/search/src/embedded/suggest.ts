import type { Suggestion } from '../ports.ts';
import { allowedEdits, analyseQuery, fold, wordsOf } from '../text.ts';
import { foldedKeys } from '../typing-repair.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { Database } from './sqlite.ts';

const MAX_PRODUCTS_READ = 60;
const MAX_PREFIX_WORDS = 8;
const MAX_OF_A_KIND = 3;

/** For each word that was typed, the beginnings of words that it may stand for. */
type Typed = readonly (readonly string[])[];

/** Categories and brands first (at most three of each), then products; each by how early the typed text stands in it. */
export function suggestFromDatabase(db: Database, vocabulary: () => Vocabulary, prefix: string, limit: number): Suggestion[] {
  const words = analyseQuery(prefix).terms.flatMap(({ folded }) => [...wordsOf(folded)].map(({ text }) => text));
  if (words.length === 0) return [];
  const typed = words.map((word) => [word]);
  const asTyped = suggestionsFor(db, typed, limit);
  if (asTyped.length > 0) return asTyped;
  const byKeys = words.map(foldedKeys);
  const meant = byKeys.join() === words.join() ? [] : suggestionsFor(db, byKeys.map((word) => [word]), limit);
  return meant.length > 0 ? meant : suggestionsFor(db, corrected(db, vocabulary, words), limit);
}

const corrected = (db: Database, vocabulary: () => Vocabulary, words: readonly string[]): Typed =>
  words.map((word) => {
    const candidates = allowedEdits(word) === 0 ? [] : commonest(db, vocabulary().nearestByPrefix(word));
    return candidates.length > 0 ? candidates : [word];
  });

const commonest = (db: Database, words: readonly string[]): string[] =>
  words
    .slice(0, 500)
    .map((word) => ({ word, count: Number(db.row('select count(*) from title where title match ?', `"${word}"`)?.[0]) }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count)
    .slice(0, MAX_PREFIX_WORDS)
    .map(({ word }) => word);

function suggestionsFor(db: Database, typed: Typed, limit: number): Suggestion[] {
  const ofKind = (kind: 'category' | 'brand'): Suggestion[] =>
    ranked(usedNames(db, kind).filter((name) => fits(name, typed)), typed)
      .slice(0, MAX_OF_A_KIND)
      .map((text) => ({ text, kind }));
  const products = productNames(db, typed);
  const names = ranked([...products.keys()], typed).map((text): Suggestion => ({ text, kind: 'product', sku: products.get(text) ?? '' }));
  return [...ofKind('category'), ...ofKind('brand'), ...names].slice(0, limit);
}

/** Names that at least one product has now: the tables keep those of the past too. */
const usedNames = (db: Database, kind: 'category' | 'brand'): string[] =>
  db.rows(`select name from ${kind} where exists (select 1 from doc where doc.${kind} = ${kind}.id)`).map(([name]) => String(name));

function fits(name: string, typed: Typed): boolean {
  const words = [...wordsOf(fold(name))].map((word) => word.text);
  return typed.every((options) => options.some((option) => words.some((word) => word.startsWith(option))));
}

/**
 * Words that begin so. The tokenizer cuts words at the vowel signs of Thai, Hindi or Arabic, and `title` knows no phrases: each piece must begin a word
 * there. What is left where nothing but signs was typed matches nothing.
 */
const prefixExpression = (word: string): string => `(${(word.match(/[\p{L}\p{N}\p{Co}]+/gu) ?? ['']).map((piece) => `"${piece}"*`).join(' AND ')})`;

/** Product names with the sku of the first product of that name, in the index's order of relevance. */
function productNames(db: Database, typed: Typed): Map<string, string> {
  const expression = typed.map((options) => `(${options.map(prefixExpression).join(' OR ')})`).join(' AND ');
  const names = new Map<string, string>();
  const rows = db.rows(
    `select d.sku, json_extract(b.product, '$.name') from (select rowid as id from title where title match ? order by rank limit ${MAX_PRODUCTS_READ}) t
     join doc d on d.id = t.id join body b on b.id = t.id`,
    expression,
  );
  for (const [sku, name] of rows) if (!names.has(String(name))) names.set(String(name), String(sku));
  return names;
}

/** Texts that begin with what was typed first; otherwise as they came. */
function ranked(texts: readonly string[], typed: Typed): string[] {
  const starts = (text: string): number => {
    const folded = fold(text);
    return typed[0]?.some((option) => folded.startsWith(option)) === true ? 0 : 1;
  };
  return texts.map((text) => ({ text, start: starts(text) })).toSorted((a, b) => a.start - b.start).map(({ text }) => text);
}
