import type { SearchQuery } from './ports.ts';
import { queryWords } from './text.ts';
import type { AnalysedQuery } from './text.ts';
import { editDistance } from './vocabulary.ts';

/** Edits of letters, marks counted, beyond which one form is as far as the other. */
const MAX_DISTANCE = 4;

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
/** Of all terms together: each costs the embedded engine a look-up, and Elasticsearch refuses queries of some thousand clauses. */
const MAX_ALTERNATIVES = 120;

/** As it was typed, with the query's expansions as far as there is room. */
export function readQuery(analysed: AnalysedQuery, { expansions = [] }: Pick<SearchQuery, 'expansions'>): Reading {
  let room = MAX_ALTERNATIVES;
  return analysed.terms.map(({ folded, accented }): ReadTerm => {
    const alternatives = expansions
      .filter(({ words }) => words.includes(folded))
      .flatMap(({ rule, words, alternatives: phrases }) => phrases.map((phrase): Alternative => ({ rule, phrase: words, words: phrase })))
      .slice(0, room);
    room -= alternatives.length;
    return { typed: folded, words: [folded], ...(accented === undefined ? {} : { accented }), how: 'typed', alternatives };
  });
}

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
    const written = term.how === 'keys' ? (term.accented ?? best) : accented === undefined ? best : markedAs(best, { typed, texts: texts() });
    corrected += text.slice(at, start) + inCaseOf(typed, written);
    at = end;
  }
  return (corrected + text.slice(at)).trim();
}

/** How the texts write the folded word, as near to what was typed as they do. */
function markedAs(folded: string, { typed, texts }: { typed: string; texts: Iterable<string> }): string {
  const forms = new Set<string>();
  for (const text of texts) for (const word of queryWords(text)) if (word.folded === folded) forms.add(word.text.toLowerCase());
  const distance = (form: string): number => editDistance(typed.toLowerCase(), form, MAX_DISTANCE);
  return [...forms].toSorted((a, b) => distance(a) - distance(b) || (a < b ? -1 : 1))[0] ?? folded;
}

function inCaseOf(typed: string, word: string): string {
  if (typed.length > 1 && typed === typed.toUpperCase() && typed !== typed.toLowerCase()) return word.toUpperCase();
  const first = typed.charAt(0);
  return first === first.toUpperCase() && first !== first.toLowerCase() ? word.charAt(0).toUpperCase() + word.slice(1) : word;
}
