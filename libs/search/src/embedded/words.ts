/** How the index understands the words of a query. */
import type { RankingPart } from '../ports.ts';
import type { ReadTerm, Reading } from '../reading.ts';
import { allowedEdits, fold } from '../text.ts';
import { asTypedVietnamese } from '../vietnamese.ts';
import type { Vocabulary } from '../vocabulary.ts';
import { exactToken } from './schema.ts';
import type { Database } from './sqlite.ts';

const MAX_CORRECTIONS = 3;

/** One word or several side by side. Words are letters and digits alone, so that nothing in them is an operator. */
export const phraseExpression = (words: readonly string[]): string => `"${words.join(' ').replaceAll('"', '')}"`;
export const exactExpression = (accented: string): string => `exact : "${exactToken(accented)}"`;

const isKnown = (db: Database, expression: string): boolean => db.row('select 1 from text where text match ? limit 1', expression) !== undefined;

/** Documents that match. */
export const frequencyOf = (db: Database, expression: string): number => Number(db.row('select count(*) from text where text match ?', expression)?.[0]);

/** The nearest known words of a word that no document has, the commoner ones; empty for short words and those with a digit. */
function corrections(db: Database, vocabulary: () => Vocabulary, word: string): string[] {
  const edits = allowedEdits(word);
  if (edits === 0) return [];
  return vocabulary()
    .nearest(word, edits)
    .map((candidate) => ({ candidate, frequency: frequencyOf(db, phraseExpression([candidate])) }))
    .filter(({ frequency }) => frequency > 0)
    .toSorted((a, b) => b.frequency - a.frequency)
    .slice(0, MAX_CORRECTIONS)
    .map(({ candidate }) => candidate);
}

/** What the keys make where the index knows it so, else the commonest of those with more marks, else what they make without its marks. */
function repaired(db: Database, term: ReadTerm): ReadTerm | undefined {
  const candidates = asTypedVietnamese(term.typed);
  const [first] = candidates;
  if (first === undefined) return undefined;
  const frequencies = candidates.map((accented) => ({ accented, frequency: frequencyOf(db, exactExpression(accented)) }));
  const commonest = frequencies.toSorted((a, b) => b.frequency - a.frequency)[0];
  const best = (frequencies[0]?.frequency ?? 0) > 0 ? frequencies[0] : commonest;
  if (best !== undefined && best.frequency > 0) return { ...term, words: [fold(best.accented)], accented: best.accented, how: 'keys' };
  const folded = fold(first);
  return folded.length > 2 && isKnown(db, phraseExpression([folded])) ? { ...term, words: [folded], how: 'keys' } : undefined;
}

interface Understanding { readonly vocabulary: () => Vocabulary; readonly without: ReadonlySet<RankingPart> }

/** Terms that no document has, nor any of their synonyms, become what they were most likely meant to be. */
export const understand = (db: Database, reading: Reading, { vocabulary, without }: Understanding): Reading =>
  reading.map((term): ReadTerm => {
    if ([term.words, ...term.alternatives.map(({ words }) => words)].some((words) => isKnown(db, phraseExpression(words)))) return term;
    const meant = without.has('typing_repair') || term.accented !== undefined ? undefined : repaired(db, term);
    if (meant !== undefined) return meant;
    const words = without.has('corrections') ? [] : corrections(db, vocabulary, term.typed);
    return words.length === 0 ? term : { ...term, words, how: 'corrected' };
  });
