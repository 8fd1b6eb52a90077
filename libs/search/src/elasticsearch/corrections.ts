import type { estypes } from '@elastic/elasticsearch';
import { allowedEdits } from '../text.ts';
import type { AnalysedQuery } from '../text.ts';
import { editDistance } from '../vocabulary.ts';
import type { Corrections } from './query.ts';

const MAX_CORRECTIONS = 3;
const MAX_CORRECTED_TERMS = 8;
/** Names of the two suggestions for a term: near words of all fields (none where the term itself is known), and near words that may replace it. */
const KNOWN = 'known:';
const CORRECTED = 'word:';

/** Asks for the nearest words of each term that no document has; undefined where no term may be corrected. */
export function suggesterOf(analysed: AnalysedQuery): estypes.SearchSuggester | undefined {
  const terms = analysed.terms.filter((term) => allowedEdits(term.folded) > 0).slice(0, MAX_CORRECTED_TERMS);
  if (terms.length === 0) return undefined;
  const nearestIn = (field: string, folded: string): estypes.SearchFieldSuggester => ({
    text: folded,
    term: { field, suggest_mode: 'missing', max_edits: allowedEdits(folded), prefix_length: 0, min_word_length: 4, size: 10, sort: 'score' },
  });
  return Object.fromEntries(terms.flatMap(({ folded }) => [[KNOWN + folded, nearestIn('words', folded)], [CORRECTED + folded, nearestIn('corrections', folded)]]));
}

const optionsOf = (entries: readonly estypes.SearchSuggest[] = []) => entries.flatMap(({ options }) => (Array.isArray(options) ? options : [options]));

/** The commonest of the nearest words, for each term that has any. */
export function correctionsFrom(suggest: Record<string, estypes.SearchSuggest[]> | undefined): Corrections {
  const corrections = new Map<string, readonly string[]>();
  for (const [name, entries] of Object.entries(suggest ?? {})) {
    if (!name.startsWith(CORRECTED)) continue;
    const term = name.slice(CORRECTED.length);
    // What may replace a term is near it in all fields, too: nothing near means that a code is spelt like this.
    if (optionsOf(suggest?.[KNOWN + term]).length === 0) continue;
    const options = optionsOf(entries).flatMap((option) => {
      const distance = editDistance(term, option.text, 2);
      const frequency = 'freq' in option ? option.freq : 0;
      return /\P{L}/u.test(option.text) || distance > allowedEdits(term) ? [] : [{ text: option.text, distance, frequency }];
    });
    const nearest = Math.min(...options.map(({ distance }) => distance));
    const words = options
      .filter(({ distance }) => distance === nearest)
      .toSorted((a, b) => b.frequency - a.frequency)
      .slice(0, MAX_CORRECTIONS)
      .map(({ text }) => text);
    if (words.length > 0) corrections.set(term, words);
  }
  return corrections;
}
