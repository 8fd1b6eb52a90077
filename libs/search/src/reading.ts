import type { SearchQuery } from './ports.ts';
import type { QueryExpansion } from './relevance.ts';
import { queryWords } from './text.ts';
import type { AnalysedQuery, QueryTerm } from './text.ts';

/** Another way to write the phrase that a term belongs to: folded words that stand side by side. */
export interface Alternative { readonly rule: string; readonly phrase: readonly string[]; readonly words: readonly string[] }

/** How an index understands one term of a query. */
export interface ReadTerm {
  /** Folded, as it was typed. */
  readonly typed: string;
  /** Folded words of which a product must have one: the term itself, what its keys were meant for, or its corrections, the best one first. */
  readonly words: readonly string[];
  /** With its marks, where it has any: products that write it so come first. */
  readonly accented?: string;
  readonly how: 'typed' | 'keys' | 'corrected';
  readonly alternatives: readonly Alternative[];
}

export type Reading = readonly ReadTerm[];

/** What an expansion is worth of the word itself: at 0.8 it cost 0.012 NDCG@10 (scripts/eval/features.ts), at 0.5 nothing that could be measured. */
export const EXPANSION_WEIGHT = 0.5;
/** Of one term; more would make a query slow. */
const MAX_ALTERNATIVES = 40;

/** As it was typed, with the query's expansions. */
export const readAsTyped = (term: QueryTerm, expansions: readonly QueryExpansion[] = []): ReadTerm => ({
  typed: term.folded,
  words: [term.folded],
  ...(term.accented === undefined ? {} : { accented: term.accented }),
  how: 'typed',
  alternatives: expansions
    .filter(({ words }) => words.includes(term.folded))
    .flatMap(({ rule, words, alternatives }) => alternatives.map((alternative): Alternative => ({ rule, phrase: words, words: alternative })))
    .slice(0, MAX_ALTERNATIVES),
});

export const readQuery = (analysed: AnalysedQuery, { expansions }: SearchQuery): Reading => analysed.terms.map((term) => readAsTyped(term, expansions));

/**
 * The query with corrected words in the place of what was typed, everything else as it was. `texts`: of what was found; they know the marks of a word
 * that was typed with marks. Undefined where nothing was corrected.
 */
export function correctedText(q: string, reading: Reading, texts: () => Iterable<string>): string | undefined {
  const terms = new Map(reading.filter(({ how }) => how !== 'typed').map((term) => [term.typed, term]));
  if (terms.size === 0) return undefined;
  const text = q.normalize('NFC');
  let corrected = '';
  let at = 0;
  for (const { text: typed, start, end, folded, accented } of queryWords(text)) {
    const term = terms.get(folded);
    const best = term?.words[0];
    if (term === undefined || best === undefined) continue;
    const written = term.how === 'keys' ? (term.accented ?? best) : accented === undefined ? best : markedAs(best, texts());
    corrected += text.slice(at, start) + inCaseOf(typed, written);
    at = end;
  }
  return (corrected + text.slice(at)).trim();
}

/** How the texts write the folded word. */
function markedAs(folded: string, texts: Iterable<string>): string {
  for (const text of texts) for (const word of queryWords(text)) if (word.folded === folded) return word.text.toLowerCase();
  return folded;
}

function inCaseOf(typed: string, word: string): string {
  if (typed.length > 1 && typed === typed.toUpperCase() && typed !== typed.toLowerCase()) return word.toUpperCase();
  const first = typed.charAt(0);
  return first === first.toUpperCase() && first !== first.toLowerCase() ? word.charAt(0).toUpperCase() + word.slice(1) : word;
}
