/** What merchandisers want of an answer, as parts of its query. */
import type { SearchQuery } from '../ports.ts';
import type { Merchandising, ProductSelector } from '../relevance.ts';
import { BOOST, BURY, GROUP, PIN_STEP } from '../tiers.ts';
import type { Query } from './query.ts';

const NOTHING: Merchandising = { pins: [], hides: [], boosts: [] };

const selectorQuery = ({ skus, category, brand }: ProductSelector): Query => ({
  bool: {
    filter: [
      ...(skus === undefined ? [] : [{ terms: { sku: [...skus] } }]), ...(category === undefined ? [] : [{ term: { category } }]), ...(brand === undefined ? [] : [{ term: { brand } }]),
    ],
  },
});

const anyOf = (queries: readonly Query[]): Query => ({ bool: { should: [...queries], minimum_should_match: 1 } });
const constant = (filter: Query, boost: number): Query => ({ constant_score: { filter, boost } });

/** Hides act on every sort; the rest on relevance. */
function rulesFor({ merchandising = NOTHING, sort }: SearchQuery) {
  const { pins, boosts } = sort === 'relevance' ? merchandising : NOTHING;
  const chosen = (type: 'boost' | 'bury'): Query[] => boosts.filter((boost) => boost.type === type).map(({ select }) => selectorQuery(select));
  return { pins, boosted: chosen('boost'), buried: chosen('bury') };
}

export const hiddenBy = ({ merchandising = NOTHING }: SearchQuery): Query[] => merchandising.hides.map(({ select }) => selectorQuery(select));

/** Is the answer without words sorted by groups, then by date? */
export const isGrouped = (query: SearchQuery): boolean => {
  const { pins, boosted, buried } = rulesFor(query);
  return pins.length + boosted.length + buried.length > 0;
};

/** The words' part of the score, more of it for boosted products. */
export function boostWords(query: SearchQuery, words: readonly Query[]): Query[] {
  const { boosted } = rulesFor(query);
  if (boosted.length === 0 || words.length === 0) return [...words];
  return [{ function_score: { query: anyOf(words), functions: [{ filter: anyOf(boosted), weight: BOOST }], score_mode: 'max', boost_mode: 'multiply' } }];
}

/** One clause for each pinned product; it need not match anything else. */
export function pinClauses(query: SearchQuery): Query[] {
  const { pins } = rulesFor(query);
  return pins.map(({ sku }, at) => constant({ term: { sku } }, PIN_STEP * (pins.length - at)));
}

const pinnedSkus = (query: SearchQuery): Query => ({ terms: { sku: rulesFor(query).pins.map(({ sku }) => sku) } });

export function buryLast(query: SearchQuery, match: Query): Query {
  const { buried } = rulesFor(query);
  if (buried.length === 0) return match;
  const filter: Query = { bool: { filter: [anyOf(buried)], must_not: [pinnedSkus(query)] } };
  return { function_score: { query: match, functions: [{ filter, weight: BURY }], score_mode: 'max', boost_mode: 'multiply' } };
}

/** Scores that are the group of each product, where no words were asked. */
export function groupClauses(query: SearchQuery): Query[] {
  if (!isGrouped(query)) return [];
  const { pins, boosted, buried } = rulesFor(query);
  const notBuried = buried.length === 0 ? [] : [anyOf(buried)];
  const queries = [
    constant({ bool: { must_not: notBuried } }, GROUP.normal),
    ...(boosted.length === 0 ? [] : [constant({ bool: { filter: [anyOf(boosted)], must_not: notBuried } }, GROUP.boosted)]),
    ...pins.map(({ sku }, at) => constant({ term: { sku } }, GROUP.pinned + pins.length - at)),
  ];
  return [{ dis_max: { queries } }];
}
