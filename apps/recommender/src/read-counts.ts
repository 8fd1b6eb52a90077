import { boughtSeeds, decodeHistory, MAX_NEIGHBOURS, MAX_TOP, mergeHistories, viewedSeeds } from '@millrace/ranking';
import type { Board, Counter, Counts, Neighbour, PairList, RecentContext, UserHistory } from '@millrace/ranking';
import { asTexts, isCluster } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createCountCache } from './count-cache.ts';
import type { CountCache } from './count-cache.ts';
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

/**
 * Reads the counts of all partitions and adds them up. Of items they may be some seconds old (CACHED); histories never are. Rejects where Redis does not answer
 * within the connection's timeout.
 */
export function createCountReader({ redis, live }: { readonly redis: Redis; readonly live: () => Promise<readonly CountKeys[]> }): CountReader {
  let caches = createCaches('');
  const open = async (): Promise<Source> => {
    const partitions = await live();
    const generations = partitions.map(({ prefix }) => prefix).join(' ');
    if (caches.generations !== generations) caches = createCaches(generations);
    return { ask: together((commandsOf) => askAll(redis, partitions, commandsOf)), caches };
  };
  return {
    history: async (userIds) => {
      const { ask } = await open();
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
      return await readLists(await open(), lists, [...history.bought.map(({ sku }) => sku), ...recent.purchases]);
    },
    ofItems: async (skus) => readLists(await open(), [], skus),
    aboutItem: async (sku, category) =>
      readLists(await open(), [{ kind: 'co_buy', name: sku }, { kind: 'co_view', name: sku }, ...(category === null ? [] : [{ kind: 'trending', name: category } as const])], []),
  };
}

/** How long counts of items are used again, and how many: a full list of neighbours takes about 3 kB. */
const CACHED = { pairs: { ttlMs: 5_000, max: 4_000 }, boards: { ttlMs: 1_000, max: 200 }, counters: { ttlMs: 10_000, max: 50_000 } };

interface Caches {
  readonly generations: string;
  readonly pairs: CountCache<readonly Neighbour[]>;
  readonly boards: CountCache<readonly Neighbour[]>;
  readonly counters: Readonly<Record<CountedBy, CountCache<number>>>;
}
type CountedBy = Counter | 'trending';
interface Source { readonly ask: Ask; readonly caches: Caches }

function createCaches(generations: string): Caches {
  const counter = (): CountCache<number> => createCountCache(CACHED.counters);
  return {
    generations, pairs: createCountCache(CACHED.pairs), boards: createCountCache(CACHED.boards),
    counters: { baskets: counter(), views: counter(), buyers: counter(), rebuyers: counter(), trending: counter() },
  };
}

interface Waiting { readonly commandsOf: (of: CountKeys) => Commands; readonly resolve: (replies: readonly (readonly unknown[])[]) => void; readonly reject: (error: unknown) => void }

/** What is asked for at the same time goes as one. */
function together(ask: Ask): Ask {
  let waiting: Waiting[] = [];
  const send = async (all: readonly Waiting[]): Promise<void> => {
    const counts: number[] = [];
    const replies = await ask((of) => all.flatMap(({ commandsOf }, at) => {
      const commands = commandsOf(of);
      counts[at] = commands.length;
      return commands;
    }));
    let from = 0;
    for (const [at, { resolve }] of all.entries()) resolve(replies.slice(from, (from += counts[at] ?? 0)));
  };
  return (commandsOf) =>
    new Promise((resolve, reject) => {
      waiting.push({ commandsOf, resolve, reject });
      if (waiting.length > 1) return;
      queueMicrotask(() => {
        const all = waiting;
        waiting = [];
        send(all).catch((error: unknown) => all.forEach((one) => one.reject(error)));
      });
    });
}

/** The same commands for each partition, one pipeline each on Cluster; answers by command, one for each partition. */
async function askAll(redis: Redis, partitions: readonly CountKeys[], commandsOf: (of: CountKeys) => Commands): Promise<readonly (readonly unknown[])[]> {
  const asked = partitions.map(commandsOf);
  const answered = isCluster(redis) ? await Promise.all(asked.map((commands) => run(redis, commands))) : inParts(await run(redis, asked.flat()), asked.length);
  return (asked[0] ?? []).map((_command, at) => answered.map((replies) => replies[at]));
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

const limitOf = (wanted: Wanted): number => (isPairs(wanted) ? MAX_NEIGHBOURS : MAX_TOP);

/** A list by its id. */
async function readSorted({ ask, caches }: Source, wanted: readonly Wanted[]): Promise<(id: string) => readonly Neighbour[]> {
  const byId = new Map(wanted.map((one) => [idOf(one), one]));
  const load = async (ids: readonly string[]): Promise<readonly (readonly Neighbour[])[]> => {
    const missing = ids.flatMap((id) => byId.get(id) ?? []);
    const replies = await ask((of) => missing.map((one) => ['ZRANGE', isPairs(one) ? of.neighbours(one.kind, one.name) : of.board(one.kind, one.name), '0', String(limitOf(one) - 1), 'REV', 'WITHSCORES']));
    return missing.map((one, at) => addUp(replies[at] ?? [], limitOf(one)));
  };
  const [pairs, boards] = await Promise.all([
    caches.pairs.get(wanted.filter(isPairs).map(idOf), load), caches.boards.get(wanted.filter((one) => !isPairs(one)).map(idOf), load),
  ]);
  // Only what was asked for: others may be in the caches.
  return (id) => (byId.has(id) ? (pairs.get(id) ?? boards.get(id) ?? []) : []);
}

/** Each counter that is asked for, of each of its items. */
async function readCounters({ ask, caches }: Source, needs: readonly (readonly [CountedBy, ReadonlySet<string>])[]): Promise<ReadonlyMap<CountedBy, ReadonlyMap<string, number>>> {
  const read = (name: CountedBy, skus: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> =>
    caches.counters[name].get(skus, async (missing) => {
      const [replies = []] = await ask((of) => [name === 'trending' ? ['ZMSCORE', of.board('trending', null), ...missing] : ['HMGET', of.counter(name), ...missing]]);
      return sumsOf(missing, replies);
    });
  return new Map(await Promise.all(needs.map(async ([name, skus]) => [name, await read(name, skus)] as const)));
}

/** Lists first, then the counters of everything in them. `own`: items whose buyers are asked for. */
async function readLists(source: Source, wanted: readonly Wanted[], own: readonly string[]): Promise<Counts> {
  const lists = await readSorted(source, wanted);
  const inLists = (kind: PairList): string[] => wanted.filter((one) => one.kind === kind).flatMap((one) => [one.name ?? '', ...lists(idOf(one)).map(({ sku }) => sku)]);
  const top = wanted.some((one) => one.kind === 'trending' && one.name === null) ? lists('trending ') : undefined;
  const trending = new Set(top === undefined ? [] : [...own, ...top.map(({ sku }) => sku)]);
  const counters = await readCounters(source, [['baskets', new Set(inLists('co_buy'))], ['views', new Set(inLists('co_view'))], ['buyers', new Set(own)], ['rebuyers', new Set(own)], ['trending', trending]]);
  const topWeight = top?.[0]?.count ?? 0;
  return {
    neighbours: (list, sku) => lists(`${list} ${sku}`),
    counter: (counter, sku) => counters.get(counter)?.get(sku) ?? 0,
    weight: (board, sku) => (board === 'trending' && topWeight > 0 ? Math.min(1, (counters.get('trending')?.get(sku) ?? 0) / topWeight) : 0),
    top: (board, category) => lists(`${board} ${category ?? ''}`).map(({ sku }) => sku),
  };
}

/** In the order of the items. */
function sumsOf(skus: readonly string[], replies: readonly unknown[]): number[] {
  const sums = skus.map(() => 0);
  for (const reply of replies) {
    if (!Array.isArray(reply)) throw new TypeError('expected a list of counts from Redis');
    skus.forEach((_sku, at) => (sums[at] = (sums[at] ?? 0) + Number(reply[at] ?? 0)));
  }
  return sums;
}
