import type { Product, SearchAnswerBody } from '@millrace/contracts';
import type { Merchandising, Relevance, SearchHit, SearchQuery } from '@millrace/search';
import type { HybridAnswer } from './hybrid-search.ts';
import { isSelected } from './passes-filters.ts';
import { decodePersonalCursor, encodePersonalCursor, hashOf } from './personal-cursor.ts';
import type { Asked, FirstPage, PersonalPlace } from './personal-cursor.ts';
import type { ShopSearch } from './shop-search.ts';

/** A user's order of these products; those that it leaves out are not in `skus`. Never rejects. */
export type RerankForUser = (userId: string, items: readonly { readonly sku: string; readonly score: number }[]) => Promise<
  { readonly skus: readonly string[]; readonly rankingId: string } | { readonly reason: 'timeout' | 'unavailable' }
>;

export interface PersonalSearchDeps {
  readonly search: ShopSearch;
  readonly relevance: Pick<Relevance, 'forQuery'>;
  readonly rerank: RerankForUser;
}

type Outcome = Pick<SearchAnswerBody, 'personalized' | 'personalized_reason' | 'ranking_id'>;
export type PersonalAnswer = HybridAnswer & Outcome;
export type PersonalSearch = (query: SearchQuery, options: { readonly hybrid: boolean; readonly userId: string }) => Promise<PersonalAnswer>;

/** Products that are re-ranked: the first ones by relevance. All behind them come as they are. */
export const PERSONAL_WINDOW = 100;
/** The n-th product has the score 1 / (10 + n): a boost by 1.6 brings the seventh to the first place, and no further one. */
const RANK_CONSTANT = 10;

export const notPersonal = (reason: Exclude<Outcome['personalized_reason'], null>): Outcome => ({ personalized: false, personalized_reason: reason, ranking_id: null });
const outcomeOf = ({ reason, rankingId }: FirstPage): Outcome => (reason === null ? { personalized: true, personalized_reason: null, ranking_id: rankingId } : notPersonal(reason));

/**
 * A search in the order of a user's live context: the first 100 products are re-ranked, pins and a product that was asked for by its own number stay first,
 * what is buried stays last, and nothing is left out, so that `total` and the facets are those of the search. The first page fixes the order: later pages
 * carry it in their cursor, show no product twice and skip none, whatever the user does meanwhile. Takes as long as the search and one call of
 * `rerank`, on the first page only. Rejects as the search does.
 */
export function createPersonalSearch({ search, relevance, rerank }: PersonalSearchDeps): PersonalSearch {
  return async (wanted, { hybrid, userId }) => {
    if (wanted.sort !== 'relevance') return { ...(await search(wanted, { hybrid })), ...notPersonal('sort') };
    const { cursor, ...first } = wanted;
    const query = { ...first, ...relevance.forQuery(first, new Date()) };
    const asked: Asked = { query, hybrid, userId };
    const place = cursor === undefined ? undefined : decodePersonalCursor(asked, cursor);
    if (place?.behind !== undefined) return behindWindow({ search, asked, first }, place, place.behind);
    const base = await search({ ...first, limit: PERSONAL_WINDOW }, { hybrid });
    const inOrder = place === undefined ? await orderFor({ rerank, asked, merchandising: query.merchandising }, base.hits) : { hits: comingHits(base.hits, place), reason: place.reason, rankingId: place.rankingId };
    return page({ search, asked, first }, base, { ...inOrder, shown: place?.shown ?? [] });
  };
}

interface Context { readonly search: ShopSearch; readonly asked: Asked; readonly first: SearchQuery }
interface Ordered extends FirstPage { readonly hits: readonly SearchHit[]; readonly shown: readonly string[] }

async function behindWindow({ search, asked, first }: Context, place: PersonalPlace, behind: string): Promise<PersonalAnswer> {
  const { next, ...answer } = await search({ ...first, cursor: behind }, { hybrid: asked.hybrid });
  return { ...answer, ...outcomeOf(place), ...(next !== undefined && { next: encodePersonalCursor(asked, { ...place, behind: next }) }) };
}

/** The window's products that were not shown, in the order of the first page; those that were not in it then come last. */
function comingHits(hits: readonly SearchHit[], { shown, coming }: PersonalPlace): readonly SearchHit[] {
  const seen = new Set(shown);
  const places = new Map(coming.map((hash, at) => [hash, at]));
  return hits
    .map((hit) => ({ hit, hash: hashOf(hit.product.sku) }))
    .filter(({ hash }) => !seen.has(hash))
    .toSorted((a, b) => (places.get(a.hash) ?? PERSONAL_WINDOW) - (places.get(b.hash) ?? PERSONAL_WINDOW))
    .map(({ hit }) => hit);
}

/** A page of the window, filled up with what is behind it. */
async function page({ search, asked, first }: Context, base: HybridAnswer, { hits, shown, ...firstPage }: Ordered): Promise<PersonalAnswer> {
  const own = hits.slice(0, first.limit);
  const missing = first.limit - own.length;
  const more = missing > 0 && base.next !== undefined ? await search({ ...first, cursor: base.next, limit: missing }, { hybrid: asked.hybrid }) : undefined;
  const shownNow = [...shown, ...own.map(({ product }) => hashOf(product.sku))];
  const coming = hits.slice(own.length).map(({ product }) => hashOf(product.sku));
  const behind = coming.length > 0 ? undefined : more ? more.next : base.next;
  const seen = new Set(shownNow);
  const { next: _next, ...answer } = base;
  return {
    ...answer, ...outcomeOf(firstPage), hits: [...own, ...(more?.hits ?? []).filter(({ product }) => !seen.has(hashOf(product.sku)))],
    ...((coming.length > 0 || behind !== undefined) && { next: encodePersonalCursor(asked, { ...firstPage, shown: shownNow, coming, behind }) }),
  };
}

/** Asked for by its own number, a product stays where it is, however often it was seen. */
const isLookedUp = ({ sku, mpn, ean }: Product, q: string | undefined): boolean => {
  const text = (q ?? '').trim().toLowerCase();
  return text !== '' && [sku, mpn ?? '', ...ean].some((number) => number.toLowerCase() === text);
};

const isBuried = (product: Product, { boosts }: Merchandising): boolean => boosts.some(({ type, select }) => type === 'bury' && isSelected(product, select));

async function orderFor({ rerank, asked: { query, userId }, merchandising }: { readonly rerank: RerankForUser; readonly asked: Asked; readonly merchandising: Merchandising }, hits: readonly SearchHit[]): Promise<Omit<Ordered, 'shown'>> {
  const pinned = new Set(merchandising.pins.map(({ sku }) => sku));
  const placeOf = ({ product }: SearchHit): 'first' | 'free' | 'last' => (pinned.has(product.sku) || isLookedUp(product, query.q) ? 'first' : isBuried(product, merchandising) ? 'last' : 'free');
  const { first = [], free = [], last = [] } = Object.groupBy(hits, placeOf);
  if (free.length === 0) return { hits, reason: null, rankingId: null };
  const answer = await rerank(userId, free.map(({ product }, at) => ({ sku: product.sku, score: 1 / (RANK_CONSTANT + at + 1) })));
  if ('reason' in answer) return { hits, reason: answer.reason, rankingId: null };
  const places = new Map(answer.skus.map((sku, at) => [sku, at]));
  const inOrder = free
    .map((hit, at) => ({ hit, at, place: places.get(hit.product.sku) ?? free.length }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ hit, at }, place) => (query.explain === true ? explained(hit, at + 1, place + 1) : hit));
  return { hits: [...first, ...inOrder, ...last], reason: null, rankingId: answer.rankingId };
}

const explained = (hit: SearchHit, was: number, is: number): SearchHit => ({
  ...hit, explanation: [...(hit.explanation ?? []), is === was ? 'in the same place without this user' : `number ${is} of those that may move; number ${was} without this user, by relevance alone`],
});
