import { boughtSeeds, decodeHistory, MAX_NEIGHBOURS, MAX_TOP, mergeHistories, viewedSeeds } from '@millrace/ranking';
import type { Board, Counter, Counts, Neighbour, PairList, RecentContext, UserHistory } from '@millrace/ranking';
import { asTexts, isCluster } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { CountKeys } from './count-keys.ts';

export interface CountReader {
  /** What these ids bought and looked at, as one user. */
  history(userIds: readonly string[]): Promise<UserHistory>;
  /** All that a ranking of this user asks for, in two round trips. */
  forUser(wanted: { readonly history: UserHistory; readonly recent: RecentContext; readonly category: string | undefined }): Promise<Counts>;
  /** Only what tells whether these items are bought again. */
  ofItems(skus: readonly string[]): Promise<Counts>;
  /** What an also-bought list of one item asks for. */
  aboutItem(sku: string, category: string | null): Promise<Counts>;
}

/** Categories of the context whose boards are read: the most looked at. */
const MAX_CATEGORIES = 5;

type Commands = readonly (readonly [string, ...string[]])[];

/** Reads the counts of all partitions and adds them up. Rejects where Redis does not answer within the connection's timeout. */
export function createCountReader({ redis, live }: { readonly redis: Redis; readonly live: () => Promise<readonly CountKeys[]> }): CountReader {
  /** The same commands for each partition, one pipeline each on Cluster; answers by command, one for each partition. */
  const ask = async (commandsOf: (of: CountKeys) => Commands): Promise<readonly (readonly unknown[])[]> => {
    const asked = (await live()).map(commandsOf);
    const answered = isCluster(redis) ? await Promise.all(asked.map((commands) => run(redis, commands))) : inParts(await run(redis, asked.flat()), asked.length);
    return (asked[0] ?? []).map((_command, at) => answered.map((replies) => replies[at]));
  };
  return {
    history: async (userIds) => {
      const replies = await ask((of) => userIds.map((id) => ['GET', of.user(id)]));
      return mergeHistories(replies.flat().flatMap((text) => (typeof text === 'string' ? [readable(text)].flatMap((history) => history ?? []) : [])));
    },
    forUser: async ({ history, recent, category }) => {
      const lists: Wanted[] = [
        ...boughtSeeds(history).map(({ sku }): Wanted => ({ kind: 'co_buy', name: sku })),
        ...viewedSeeds(history, recent).map(({ sku }): Wanted => ({ kind: 'co_view', name: sku })),
        { kind: 'trending', name: null }, { kind: 'popular', name: null },
        ...(category === undefined ? [...recent.categories.keys()].slice(0, MAX_CATEGORIES) : [category]).map((name): Wanted => ({ kind: 'trending', name })),
        ...(category === undefined ? [] : [{ kind: 'popular', name: category } as const]),
      ];
      const own = [...history.bought.map(({ sku }) => sku), ...recent.purchases];
      return await readLists(ask, lists, own);
    },
    ofItems: (skus) => readLists(ask, [], skus),
    aboutItem: (sku, category) => readLists(ask, [{ kind: 'co_buy', name: sku }, { kind: 'co_view', name: sku }, ...(category === null ? [] : [{ kind: 'trending', name: category } as const])], []),
  };
}

type Wanted = { readonly kind: PairList; readonly name: string } | { readonly kind: Board; readonly name: string | null };
type Ask = (commandsOf: (of: CountKeys) => Commands) => Promise<readonly (readonly unknown[])[]>;

const isPairs = (wanted: Wanted): wanted is Extract<Wanted, { kind: PairList }> => wanted.kind === 'co_buy' || wanted.kind === 'co_view';
const idOf = ({ kind, name }: Wanted): string => `${kind} ${name ?? ''}`;

/** undefined where it was written in another format: then nothing is known. */
function readable(text: string): UserHistory | undefined {
  try {
    return decodeHistory(text);
  } catch {
    return undefined;
  }
}

async function run(redis: Redis, commands: Commands): Promise<readonly unknown[]> {
  if (commands.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const [name, ...args] of commands) pipeline.call(name, ...args);
  return ((await pipeline.exec()) ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}

function inParts<T>(all: readonly T[], parts: number): (readonly T[])[] {
  const size = parts === 0 ? 0 : all.length / parts;
  return Array.from({ length: parts }, (_none, at) => all.slice(at * size, (at + 1) * size));
}

/** Members with their scores, added up over the partitions, highest first. */
function addUp(replies: readonly unknown[], limit: number): Neighbour[] {
  const sums = new Map<string, number>();
  for (const reply of replies) {
    const flat = asTexts(reply);
    for (let at = 0; at + 1 < flat.length; at += 2) sums.set(flat[at] ?? '', (sums.get(flat[at] ?? '') ?? 0) + Number(flat[at + 1]));
  }
  const all = [...sums].map(([sku, count]): Neighbour => ({ sku, count }));
  return (replies.length === 1 ? all : all.toSorted((a, b) => b.count - a.count)).slice(0, limit);
}

/** Lists first, then the counters of everything in them. `own`: items whose buyers are asked for. */
async function readLists(ask: Ask, wanted: readonly Wanted[], own: readonly string[]): Promise<Counts> {
  const replies = await ask((of) => wanted.map((one) => ['ZRANGE', isPairs(one) ? of.neighbours(one.kind, one.name) : of.board(one.kind, one.name), '0', String((isPairs(one) ? MAX_NEIGHBOURS : MAX_TOP) - 1), 'REV', 'WITHSCORES']));
  const lists = new Map(wanted.map((one, at) => [idOf(one), addUp(replies[at] ?? [], isPairs(one) ? MAX_NEIGHBOURS : MAX_TOP)]));
  const inLists = (kind: PairList): string[] => wanted.filter((one) => one.kind === kind).flatMap((one) => [one.name ?? '', ...(lists.get(idOf(one)) ?? []).map(({ sku }) => sku)]);
  const [bought, viewed] = [new Set(inLists('co_buy')), new Set(inLists('co_view'))];
  const trending = wanted.some((one) => one.kind === 'trending' && one.name === null) ? new Set([...own, ...(lists.get('trending ') ?? []).map(({ sku }) => sku)]) : new Set<string>();
  const needs: readonly (readonly [Counter | 'trending', ReadonlySet<string>])[] = [['baskets', bought], ['views', viewed], ['buyers', new Set(own)], ['rebuyers', new Set(own)], ['trending', trending]];
  const asked = needs.filter(([, skus]) => skus.size > 0);
  const values = await ask((of) => asked.map(([name, skus]) => (name === 'trending' ? ['ZMSCORE', of.board('trending', null), ...skus] : ['HMGET', of.counter(name), ...skus])));
  const counters = new Map(asked.map(([name, skus], at) => [name, sumsOf([...skus], values[at] ?? [])]));
  const topWeight = lists.get('trending ')?.[0]?.count ?? 0;
  return {
    neighbours: (list, sku) => lists.get(`${list} ${sku}`) ?? [],
    counter: (counter, sku) => counters.get(counter)?.get(sku) ?? 0,
    weight: (board, sku) => (board === 'trending' && topWeight > 0 ? Math.min(1, (counters.get('trending')?.get(sku) ?? 0) / topWeight) : 0),
    top: (board, category) => (lists.get(`${board} ${category ?? ''}`) ?? []).map(({ sku }) => sku),
  };
}

function sumsOf(skus: readonly string[], replies: readonly unknown[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const reply of replies) {
    if (!Array.isArray(reply)) throw new TypeError('expected a list of counts from Redis');
    skus.forEach((sku, at) => sums.set(sku, (sums.get(sku) ?? 0) + Number(reply[at] ?? 0)));
  }
  return sums;
}
