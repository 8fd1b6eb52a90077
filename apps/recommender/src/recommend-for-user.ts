import type { UserContext } from '@millrace/context';
import { EMPTY_HISTORY, NO_CONTEXT, recommend, rerank } from '@millrace/ranking';
import type { Counts, FindItem, RecentContext, Recommendation, Reranked, UserHistory } from '@millrace/ranking';
import type { RankingOptions } from './experiment-settings.ts';
import type { CountReader } from './read-counts.ts';
import type { FindSimilarTo } from './similar-items.ts';
import type { UserNames } from './user-names.ts';

export type ContextState = 'live' | 'none' | 'unavailable';

export interface RecommendForUserDeps {
  readonly readContext: (userId: string) => Promise<UserContext>;
  /** Ids that were merged are one user. Default: every id is its own. */
  readonly namesOf?: (userId: string) => Promise<UserNames>;
  readonly counts: CountReader;
  readonly items: { readonly find: FindItem; newest(category: string | undefined): readonly string[] };
  readonly similarTo: FindSimilarTo;
  readonly now: () => number;
  /** Redis did not answer: told once a request. */
  readonly onFailure: (error: unknown) => void;
}

export interface RecommendRequest {
  readonly userId: string | undefined;
  readonly category?: string | undefined;
  readonly exclude?: readonly string[] | undefined;
  readonly excludeSeen: boolean;
  readonly limit: number;
  /** Other than usual, in an experiment. */
  readonly options?: RankingOptions;
}
export interface Served<T> { readonly list: readonly T[]; readonly context: ContextState; readonly isDegraded: boolean }

/** undefined, and told, where it failed. */
export const orNothing = <T>(work: Promise<T>, onFailure: (error: unknown) => void): Promise<T | undefined> =>
  work.catch((error: unknown) => {
    onFailure(error);
    return undefined;
  });

export const NO_COUNTS: Counts = { neighbours: () => [], counter: () => 0, weight: () => 0, top: () => [] };

interface Traces { readonly recent: RecentContext; readonly history: UserHistory; readonly context: ContextState }

/** Context and history of a user, under all its names. */
async function readTraces({ readContext, counts, namesOf }: Pick<RecommendForUserDeps, 'readContext' | 'counts' | 'namesOf'>, userId: string): Promise<Traces> {
  const [live, own, names] = await Promise.all([readContext(userId), counts.history([userId]), namesOf?.(userId)]);
  // Redis knows of a merge for 30 days, Postgres for ever.
  const found = names !== undefined && live.lastActive === undefined && live.userId !== names.userId ? await readContext(names.userId) : live;
  const ids = new Set([userId, found.userId, ...(names?.all ?? [])]);
  const history = ids.size === 1 ? own : await counts.history([...ids]);
  const recent = { items: found.recentItems.map(({ asin }) => asin), purchases: found.recentPurchases.map(({ asin }) => asin), categories: found.recentCategories };
  return { recent, history, context: found.lastActive === undefined ? 'none' : 'live' };
}

const STRANGER: Traces = { recent: NO_CONTEXT, history: EMPTY_HISTORY, context: 'none' };
const UNKNOWN: Traces = { ...STRANGER, context: 'unavailable' };

/** Never fails because of Redis or the vector store: what cannot be read is left out, and the answer says so. */
async function tracesOf(deps: RecommendForUserDeps, userId: string | undefined): Promise<Traces> {
  if (userId === undefined) return STRANGER;
  return await readTraces(deps, userId).catch((error: unknown) => {
    deps.onFailure(error);
    return UNKNOWN;
  });
}

export async function recommendForUser(deps: RecommendForUserDeps, { userId, category, exclude = [], excludeSeen, limit, options }: RecommendRequest): Promise<Served<Recommendation>> {
  const { recent, history, context } = await tracesOf(deps, userId);
  const newestSeen = recent.items[0] ?? history.viewed[0]?.sku;
  const [counts, similar] = await Promise.all([
    orNothing(deps.counts.forUser({ history, recent, category }), deps.onFailure),
    newestSeen === undefined ? new Map<string, number>() : deps.similarTo(newestSeen),
  ]);
  const list = recommend({
    counts: counts ?? NO_COUNTS, find: deps.items.find, history, recent, similar: similar ?? new Map(), newest: deps.items.newest(category), nowMs: deps.now(), limit,
    exclude: new Set(exclude), excludeSeen, ...(category !== undefined && { category }), ...options,
  });
  return { list, context, isDegraded: context === 'unavailable' || counts === undefined || similar === undefined };
}

/** The first list of a process takes longest, some of it more than similar products are waited for: made before anybody asks. */
export async function warmUp(deps: RecommendForUserDeps): Promise<void> {
  const [sku] = deps.items.newest(undefined);
  for (let round = 0; round < 3; round += 1) {
    if (sku !== undefined) await deps.similarTo(sku);
    await recommendForUser(deps, { userId: undefined, excludeSeen: false, limit: 10 });
  }
}

export interface RerankRequest { readonly userId: string; readonly items: readonly { readonly sku: string; readonly score: number }[]; readonly limit: number }

export async function rerankForUser(deps: RecommendForUserDeps, { userId, items, limit }: RerankRequest): Promise<Served<Reranked>> {
  const { recent, history, context } = await tracesOf(deps, userId);
  const asked = new Set([...recent.purchases, ...history.bought.map(({ sku }) => sku)]);
  const bought = items.map(({ sku }) => sku).filter((sku) => asked.has(sku));
  const counts = await orNothing(deps.counts.ofItems(bought), deps.onFailure);
  const list = rerank({ counts: counts ?? NO_COUNTS, find: deps.items.find, history, recent, nowMs: deps.now(), limit, items });
  return { list, context, isDegraded: context === 'unavailable' || counts === undefined };
}
