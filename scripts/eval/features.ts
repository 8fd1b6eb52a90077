/** What each part of the ranking is worth: the same queries with it and without it. */
import { compileRelevance } from '@millrace/search';
import type { RankingPart, SynonymRule } from '@millrace/search';
import type { Engine } from './engines.ts';
import type { JudgedQuery } from './icecat.ts';
import { createRandom, pairedDifference, scoreQueries } from './metrics.ts';
import type { PairedDifference, QueryScore } from './metrics.ts';

/** What any shop of electronics would write down; made without looking at judgments. */
export const SYNONYMS: SynonymRule[] = [
  ['tv', 'television'], ['laptop', 'notebook', 'notebook computer'], ['phone', 'smartphone', 'mobile phone', 'cell phone'], ['headphones', 'earphones', 'headset'],
  ['fridge', 'refrigerator'], ['monitor', 'display'], ['flashlight', 'torch'], ['memory stick', 'usb flash drive'], ['power bank', 'external battery'],
  ['charger', 'power adapter'], ['ps4', 'playstation 4'], ['micro sd card', 'microsd card'], ['mouse pad', 'mouse mat'],
].map((terms, at) => ({ id: `eval-${at}`, kind: 'equivalent', terms }));

export type Feature = RankingPart | 'synonyms';

const FEATURES: readonly Feature[] = ['corrections', 'typing_repair', 'tones', 'all_terms_first', 'codes_first', 'field_weights', 'synonyms'];

export interface FeatureRow extends PairedDifference { readonly engine: string; readonly feature: string; readonly queries: string; readonly perQuery: Readonly<Record<string, number>> }

/** The queries as fingers mistype them: in each word of five letters or more two neighbours changed places, the same ones every time. */
export function mistyped(queries: readonly JudgedQuery[]): JudgedQuery[] {
  const random = createRandom(7);
  const swap = (word: string): string => {
    if (!/^[a-z]{5,}$/i.test(word)) return word;
    const at = 1 + Math.floor(random() * (word.length - 2));
    return word.slice(0, at) + word.charAt(at + 1) + word.charAt(at) + word.slice(at + 2);
  };
  return queries.map(({ text, grades }) => ({ text: text.split(' ').map(swap).join(' '), grades }));
}

export interface Comparison {
  readonly engines: readonly Engine[];
  /** Sets of queries by their names. */
  readonly sets: Readonly<Record<string, readonly JudgedQuery[]>>;
  readonly features?: readonly Feature[];
}

/** One row for each feature, engine and set of queries: NDCG@10 with everything (and with synonyms, for these) minus NDCG@10 without the feature. */
export async function compareFeatures({ engines, sets, features = FEATURES }: Comparison): Promise<FeatureRow[]> {
  const rows: FeatureRow[] = [];
  for (const engine of engines) {
    for (const [set, queries] of Object.entries(sets)) {
      const whole = await scoreQueries(engine.openRanker(), queries);
      for (const feature of features) rows.push({ engine: engine.name, queries: set, feature, ...(await compareOne(engine, { feature, queries, whole })) });
    }
  }
  return rows;
}

interface OneFeature { readonly feature: Feature; readonly queries: readonly JudgedQuery[]; readonly whole: readonly QueryScore[] }

async function compareOne(engine: Engine, { feature, queries, whole }: OneFeature): Promise<PairedDifference & Pick<FeatureRow, 'perQuery'>> {
  const isSynonyms = feature === 'synonyms';
  const other = engine.openRanker(isSynonyms ? { relevance: compileRelevance({ synonyms: SYNONYMS, rules: [] }) } : { without: [feature] });
  const [of, to] = [whole, await scoreQueries(other, queries)].map((scores) => scores.map(({ ndcgAt10 }) => ndcgAt10));
  const [withIt = [], withoutIt = []] = isSynonyms ? [to, of] : [of, to];
  return { perQuery: Object.fromEntries(whole.map(({ query }, at) => [query, (withIt[at] ?? 0) - (withoutIt[at] ?? 0)])), ...pairedDifference(withIt, withoutIt) };
}
