/** How many documents have what a query may mean, asked once before the query itself: only where keys may have been Vietnamese or words have synonyms. */
import type { Client } from '@elastic/elasticsearch';
import type { RankingPart } from '../ports.ts';
import { EXPANSION_WEIGHT } from '../reading.ts';
import type { ReadTerm, Reading } from '../reading.ts';
import { fold } from '../text.ts';
import { meantByKeys } from '../typing-repair.ts';
import { asTypedVietnamese } from '../vietnamese.ts';
import { available } from './client.ts';
import type { Query } from './query.ts';

const MAX_TYPED_TERMS = 8;

export interface Survey {
  readonly documents: number;
  /** Documents that have these words side by side. */
  having(words: readonly string[]): number;
  /** Documents that have this very word, in no other form. */
  spelling(word: string): number;
  /** Documents that have this word with its marks. */
  writing(accented: string): number;
}

const NOTHING_ASKED: Survey = { documents: 0, having: () => 0, spelling: () => 0, writing: () => 0 };

export const phraseQuery = (field: string, words: readonly string[], boost = 1): Query =>
  words.length === 1 ? { match: { [field]: { query: words[0] ?? '', boost } } } : { match_phrase: { [field]: { query: words.join(' '), boost } } };

const phraseKey = (words: readonly string[]): string => `all:${words.join(' ')}`;
const wordKey = (word: string): string => `word:${word}`;
const exactKey = (accented: string): string => `exact:${accented}`;

const keyedTerms = (reading: Reading, without: ReadonlySet<RankingPart>): { term: ReadTerm; candidates: string[] }[] =>
  (without.has('typing_repair') ? [] : reading)
    .filter(({ accented }) => accented === undefined)
    .map((term) => ({ term, candidates: asTypedVietnamese(term.typed) }))
    .filter(({ candidates }) => candidates.length > 0)
    .slice(0, MAX_TYPED_TERMS);

function questionsOf(reading: Reading, without: ReadonlySet<RankingPart>): Map<string, Query> {
  const questions = new Map<string, Query>();
  const ask = (words: readonly string[]): unknown => questions.set(phraseKey(words), phraseQuery('all', words));
  for (const { words, alternatives } of reading) {
    for (const phrase of alternatives.length === 0 ? [] : [words, ...alternatives.map((alternative) => alternative.words)]) {
      ask(phrase);
      for (const word of phrase) ask([word]);
    }
  }
  for (const { term, candidates } of keyedTerms(reading, without)) {
    ask([term.typed]);
    questions.set(wordKey(term.typed), { match: { words: term.typed } });
    ask([fold(candidates[0] ?? '')]);
    for (const accented of candidates) questions.set(exactKey(accented), { match: { exact: accented } });
  }
  return questions;
}

export async function surveyIndex(client: Client, index: string, { reading, without }: { reading: Reading; without: ReadonlySet<RankingPart> }): Promise<Survey> {
  const questions = questionsOf(reading, without);
  if (questions.size === 0) return NOTHING_ASKED;
  const { hits, aggregations } = await available(
    client.search({
      index, size: 0, track_total_hits: true, query: { term: { deleted: false } },
      aggs: { counts: { filters: { filters: Object.fromEntries(questions) } } },
    }),
  );
  const buckets: object = aggregations?.['counts'] !== undefined && 'buckets' in aggregations['counts'] ? aggregations['counts'].buckets : {};
  const counts = new Map(Object.entries(buckets).map(([key, bucket]: [string, { doc_count: number }]) => [key, bucket.doc_count]));
  return {
    documents: typeof hits.total === 'number' ? hits.total : (hits.total?.value ?? 0),
    having: (words) => counts.get(phraseKey(words)) ?? 0,
    spelling: (word) => counts.get(wordKey(word)) ?? 0,
    writing: (accented) => counts.get(exactKey(accented)) ?? 0,
  };
}

/** Words that no document has, nor a synonym of them, become the Vietnamese words that their keys make. */
export function repairKeys(reading: Reading, survey: Survey, without: ReadonlySet<RankingPart>): Reading {
  const candidatesOf = new Map(keyedTerms(reading, without).map(({ term, candidates }) => [term.typed, candidates]));
  return reading.map((term): ReadTerm => {
    const candidates = candidatesOf.get(term.typed);
    if (candidates === undefined || hasKnownSynonym(term, survey)) return term;
    const meant = meantByKeys({
      typed: { documents: survey.having([term.typed]), isWord: survey.spelling(term.typed) > 0 },
      writing: candidates.map((accented) => ({ accented, documents: survey.writing(accented) })),
      hasFolded: (folded) => survey.having([folded]) > 0,
    });
    return meant === undefined ? term : { ...term, ...meant, how: 'keys' };
  });
}

export const hasKnownSynonym = ({ alternatives }: ReadTerm, survey: Survey): boolean => alternatives.some(({ words }) => survey.having(words) > 0);

/** As Lucene's BM25Similarity does it. */
const inverseFrequency = (documents: number, having: number): number => Math.log(1 + (documents - having + 0.5) / (having + 0.5));

/**
 * Factors of a term's alternatives. A synonym is no rarer than the word itself, or it would outrank it; one of a word that no document has stands for it.
 * Lucene scores a phrase by the sum of its words' inverse frequencies.
 */
export function weightsOf({ words, alternatives }: ReadTerm, survey: Survey): number[] {
  const rarity = (phrase: readonly string[]): number => phrase.reduce((sum, word) => sum + inverseFrequency(survey.documents, survey.having([word])), 0);
  const literal = survey.having(words) === 0 ? Infinity : rarity(words);
  return alternatives.map((alternative) => EXPANSION_WEIGHT * Math.min(1, literal / rarity(alternative.words)));
}
