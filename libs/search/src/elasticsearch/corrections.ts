import type { Client, estypes } from '@elastic/elasticsearch';
import type { ReadTerm, Reading } from '../reading.ts';
import { allowedEdits } from '../text.ts';
import { editDistance } from '../vocabulary.ts';
import { available } from './client.ts';
import { hasKnownSynonym } from './survey.ts';
import type { Survey } from './survey.ts';

const MAX_CORRECTIONS = 3;
const MAX_CORRECTED_TERMS = 8;
const NAME = 'word:';

/** Known words for each term that no document has, the best one first. */
type Corrections = ReadonlyMap<string, readonly string[]>;

/** Asks for the nearest words of each term that no document has; undefined where no term may be corrected. */
export function suggesterOf(reading: Reading, survey: Survey): estypes.SearchSuggester | undefined {
  const terms = reading.filter((term) => term.how === 'typed' && allowedEdits(term.typed) > 0 && !hasKnownSynonym(term, survey)).slice(0, MAX_CORRECTED_TERMS);
  if (terms.length === 0) return undefined;
  const nearestTo = (folded: string): estypes.SearchFieldSuggester => ({
    text: folded,
    term: { field: 'words', suggest_mode: 'missing', max_edits: allowedEdits(folded), prefix_length: 0, min_word_length: 4, size: 10, sort: 'score' },
  });
  return Object.fromEntries(terms.map(({ typed }) => [NAME + typed, nearestTo(typed)]));
}

const optionsOf = (entries: readonly estypes.SearchSuggest[]) => entries.flatMap(({ options }) => (Array.isArray(options) ? options : [options]));

/** The commonest of the nearest words, for each term that has any. */
export function correctionsFrom(suggest: Record<string, estypes.SearchSuggest[]> | undefined): Corrections {
  const corrections = new Map<string, readonly string[]>();
  for (const [name, entries] of Object.entries(suggest ?? {})) {
    const term = name.slice(NAME.length);
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

/** Without the terms that a document has in another form or in a code: those are spelt as they should be. */
export async function withoutKnown(client: Client, alias: string, corrections: Corrections): Promise<Corrections> {
  if (corrections.size === 0) return corrections;
  const terms = [...corrections.keys()];
  const searches = terms.flatMap((term) => [{ index: alias }, { size: 0, terminate_after: 1, track_total_hits: true, query: { match: { all: term } } }]);
  const { responses } = await available(client.msearch({ searches }));
  const isKnown = (at: number): boolean => {
    const answer = responses[at];
    return answer !== undefined && 'hits' in answer && typeof answer.hits.total === 'object' && answer.hits.total.value > 0;
  };
  return new Map([...corrections].filter((_entry, at) => !isKnown(at)));
}

export const correct = (reading: Reading, corrections: Corrections): Reading =>
  reading.map((term): ReadTerm => {
    const words = corrections.get(term.typed);
    return words === undefined ? term : { ...term, words, how: 'corrected' };
  });
