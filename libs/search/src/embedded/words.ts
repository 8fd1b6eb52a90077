/** How the index understands the words of a query. */
import type { RankingPart } from '../ports.ts';
import type { ReadTerm, Reading } from '../reading.ts';
import { allowedEdits } from '../text.ts';
import { meantByKeys } from '../typing-repair.ts';
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

/** What the index has of a word: documents with it or another form of it, and whether it is a word itself. */
interface Known { readonly documents: number; readonly isWord: boolean }

const knownOf = (db: Database, word: string): Known => {
  const documents = frequencyOf(db, phraseExpression([word]));
  return { documents, isWord: documents > 0 && db.row('select 1 from word where word = ?', word) !== undefined };
};

function repaired(db: Database, term: ReadTerm): ReadTerm | undefined {
  const candidates = asTypedVietnamese(term.typed);
  if (candidates.length === 0) return undefined;
  const typed = knownOf(db, term.typed);
  const writing = candidates.map((accented) => ({ accented, documents: typed.isWord ? 0 : frequencyOf(db, exactExpression(accented)) }));
  const meant = meantByKeys({ typed, writing, hasFolded: (folded) => isKnown(db, phraseExpression([folded])) });
  return meant === undefined ? undefined : { ...term, ...meant, how: 'keys' };
}

interface Understanding { readonly vocabulary: () => Vocabulary; readonly without: ReadonlySet<RankingPart> }

/** Terms that no document has, nor any of their synonyms, become what they were most likely meant to be. */
export const understand = (db: Database, reading: Reading, { vocabulary, without }: Understanding): Reading =>
  reading.map((term): ReadTerm => {
    if (term.alternatives.some(({ words }) => isKnown(db, phraseExpression(words)))) return term;
    const meant = without.has('typing_repair') || term.accented !== undefined ? undefined : repaired(db, term);
    if (meant !== undefined) return meant;
    if (without.has('corrections') || allowedEdits(term.typed) === 0 || isKnown(db, phraseExpression(term.words))) return term;
    const words = corrections(db, vocabulary, term.typed);
    return words.length === 0 ? term : { ...term, words, how: 'corrected' };
  });
