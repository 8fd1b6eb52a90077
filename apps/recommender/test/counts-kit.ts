import { createRedisStreamsBus, hasPassed } from '@millrace/bus';
import type { RedisStreamsBus } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import type { ExportedInteraction, Interaction, NewInteraction } from '@millrace/contracts';
import { connectRedis, createKeys, isCluster, isClusterUrl, masterNodes } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { eventually } from '@millrace/testing/eventually';
import { decodeHistory } from '@millrace/ranking';
import type { UserHistory } from '@millrace/ranking';
import { countInteractions } from '../src/count-interactions.ts';
import type { CountKeys } from '../src/count-keys.ts';
import { createCountedPartitions } from '../src/counted-partitions.ts';
import type { CountedPartitions } from '../src/counted-partitions.ts';
import type { InteractionExport } from '../src/read-interactions.ts';

export const GROUP = 'recommender';
export const TTL_SECONDS = 365 * 86_400;

/** Keys of a test's own, in the form that the server wants. */
export function keysOfTest(url: string, prefix: string): Keys {
  const plain = createKeys({ cluster: isClusterUrl(url) });
  return {
    ...plain, counts: (partition) => `${prefix}:{${prefix}:${partition}}`, countPartitions: `${prefix}:partitions`,
    topic: (topic, partition, partitions) => plain.topic(`${prefix}:${topic}`, partition, partitions), topicMeta: (topic) => plain.topicMeta(`${prefix}:${topic}`),
  };
}

export interface Counting {
  readonly bus: RedisStreamsBus;
  readonly partitions: CountedPartitions;
  /** Subscribes the counts, as main.ts does. */
  start(): Promise<void>;
}

export function openCounting(url: string, { redis, keys, partitions: count = 1, batchSize = 16 }: { readonly redis: Redis; readonly keys: Keys; readonly partitions?: number; readonly batchSize?: number }): Counting {
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'test' }), keys, batchSize, blockMs: 50, claimIdleMs: 300, leaseMs: 500, retryBaseMs: 5, partitions: { [interactions.name]: count } });
  const partitions = createCountedPartitions(redis, keys);
  const counted = countInteractions({ redis, keys, ttlSeconds: TTL_SECONDS, addPartition: (partition) => partitions.add(partition) });
  return { bus, partitions, start: async () => void (await bus.subscribe(interactions, { group: GROUP, ordering: 'partition' }, counted)) };
}

/** Different every time a test runs, the same in each part of it. */
export function manyEvents(count: number, { users = 20, items = 30, from = 0 }: { readonly users?: number; readonly items?: number; readonly from?: number } = {}): NewInteraction[] {
  const types = ['view', 'purchase', 'click', 'purchase', 'add_to_cart', 'rate', 'purchase'] as const;
  const startMs = Date.now() - 40 * 86_400_000;
  return Array.from({ length: count }, (_none, at): NewInteraction => {
    const n = from + at;
    const atMs = startMs + n * 61_000;
    return {
      type: types[(n * 7 + (n >> 3)) % types.length] ?? 'view', user_id: `u${(n * 13 + (n >> 2)) % users}`, asin: `i${(n * 17 + (n >> 4)) % items}`, month: new Date(atMs).toISOString().slice(0, 7),
      category: `c${((n * 17 + (n >> 4)) % items) % 4}`, brand: null, metadata: {}, meta: { id: `e${n}`, timestamp: new Date(atMs).toISOString() },
    };
  });
}

export interface FakeLog extends InteractionExport {
  /** Each event once. */
  readonly rows: Map<string, NewInteraction>;
  /** Rows that the stream does not have yet. */
  readonly deferred: Set<string>;
  /** Called while the export is read, after so many rows. */
  during: ((rows: number) => Promise<void>) | undefined;
  /** Writes the stream into the log from now on, as event-ingest does. */
  start(bus: RedisStreamsBus): Promise<void>;
}

const WRITER = 'interactions-writer';

/** A log in memory, written and exported as event-ingest does. */
export function createFakeLog(redis: Redis): FakeLog {
  const log: FakeLog = {
    rows: new Map(), deferred: new Set(), during: undefined,
    start: async (bus) => void (await bus.subscribe(interactions, { group: WRITER }, async (events) => {
      for (const { meta: { id, timestamp }, ...event } of events) if (!log.rows.has(id)) log.rows.set(id, { ...event, meta: { id, timestamp } });
    })),
    open: async (until) => {
      await eventually(async () => (await hasPassed(redis, WRITER, until)) || undefined);
      const deferred = new Set(log.deferred);
      const snapshot = [...log.rows.values()].toSorted((a, b) => (a.user_id < b.user_id ? 1 : a.user_id > b.user_id ? -1 : timeOf(a) - timeOf(b)));
      return {
        events: (async function* () {
          for (const [at, row] of snapshot.entries()) {
            await log.during?.(at);
            yield toExported(row, deferred.has(idOf(row)));
          }
        })(),
      };
    },
  };
  return log;
}

const idOf = ({ meta }: NewInteraction): string => meta?.id ?? '';
const timeOf = ({ meta }: NewInteraction): number => Date.parse(meta?.timestamp ?? '');
const toExported = (row: NewInteraction, isDeferred: boolean): ExportedInteraction => ({
  type: 'interaction', event_id: idOf(row), user_id: row.user_id, asin: row.asin, event_type: row.type, ts: new Date(timeOf(row)).toISOString(), category: row.category, ...(isDeferred && { deferred: true as const }),
});

/** As the bus would hand it over. */
export const delivered = (events: readonly NewInteraction[]): Interaction[] =>
  events.map((event, at) => ({ ...event, meta: { id: idOf(event), timestamp: new Date(timeOf(event)).toISOString(), schema: 1, streamId: `${1_000 + at}-0` } }));

/** Every count, added up over the partitions: name -> value, with numbers as far as the order of sums does not change them. */
export async function readAllCounts(redis: Redis, generations: readonly CountKeys[]): Promise<Record<string, unknown>> {
  const counts = new Map<string, number>();
  const users: Record<string, unknown> = {};
  const add = (name: string, value: number): void => void counts.set(name, (counts.get(name) ?? 0) + value);
  for (const { prefix, counted } of generations)
    for (const key of await keysUnder(redis, prefix)) {
      const name = key.slice(prefix.length + 1);
      if (key === counted) continue;
      const type = await redis.type(key);
      if (type === 'string') users[name] = withoutWeights(decodeHistory((await redis.get(key)) ?? ''));
      else if (type === 'hash') for (const [field, value] of Object.entries(await redis.hgetall(key))) add(`${name} ${field}`, Number(value));
      else for (const [at, member] of (await redis.zrange(key, '0', '-1', 'WITHSCORES')).entries()) if (at % 2 === 0) add(`${name} ${member}`, Number((await redis.zscore(key, member)) ?? 0));
    }
  return { ...users, ...Object.fromEntries([...counts].map(([name, value]) => [name, Number(value.toPrecision(6))])) };
}

/** Weights are rounded with each batch: where batches begin shows in their last digit. */
const withoutWeights = ({ bought, ...rest }: UserHistory): unknown => ({ ...rest, bought: bought.map(({ weight: _weight, ...item }) => item).toSorted((a, b) => (a.sku < b.sku ? -1 : 1)) });

export async function keysUnder(redis: Redis, prefix: string): Promise<string[]> {
  const nodes = isCluster(redis) ? masterNodes(redis) : [redis];
  return (await Promise.all(nodes.map((node) => node.keys(`${prefix}:*`)))).flat();
}

/** The counts of these events, one after the other. */
export async function expectedCounts(redis: Redis, keys: Keys, events: readonly NewInteraction[]): Promise<Record<string, unknown>> {
  const partitions = createCountedPartitions(redis, keys);
  const count = countInteractions({ redis, keys, ttlSeconds: TTL_SECONDS, addPartition: (partition) => partitions.add(partition) });
  const all = delivered(events);
  for (let from = 0; from < all.length; from += 200) await count(all.slice(from, from + 200), { signal: new AbortController().signal, partition: 0 });
  return await readAllCounts(redis, await partitions.live());
}
