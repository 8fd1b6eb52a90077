import type { ExportedInteraction } from '@millrace/contracts';
import { EMPTY_HISTORY, planInteraction } from '@millrace/ranking';
import type { UserHistory } from '@millrace/ranking';
import type { Building } from './building.ts';
import { createChangeSums } from './count-changes.ts';
import type { ChangeSums } from './count-changes.ts';

export interface FillFromExport {
  /** By user, and for each user by time. */
  readonly events: AsyncIterable<ExportedInteraction>;
  readonly buildOf: (userId: string) => Building;
  /** Ids of events that are in a tail, too. */
  readonly maybeTwice: ReadonlySet<string>;
  readonly ttlSeconds: number;
  readonly hasRoom: () => Promise<boolean>;
  readonly signal: AbortSignal;
}

export interface Filled {
  readonly events: number;
  readonly users: number;
  /** Which of `maybeTwice` were in the export. */
  readonly twice: ReadonlySet<string>;
  /** By partition: ids of events that the stream brings later. */
  readonly deferred: ReadonlyMap<number, readonly string[]>;
  readonly isDeferred: (id: string) => boolean;
  /** Some users, evenly over all. */
  readonly sample: readonly string[];
}

/** Names that wait in memory before they are written. */
const MAX_WAITING = 20_000;
const SAMPLED_USERS = 200;

/** Writes the export into the new generation. Bounded memory: one user's history, and MAX_WAITING names a partition. */
export async function fillFromExport({ events, buildOf, maybeTwice, ttlSeconds, hasRoom, signal }: FillFromExport): Promise<Filled> {
  const waiting = new Map<Building, ChangeSums>();
  const twice = new Set<string>();
  const deferred = createDeferred();
  const users = createUserSample();
  const nowMs = Date.now();
  const ttlAt = (atMs: number): number => Math.ceil(ttlSeconds - Math.max(0, nowMs - atMs) / 1_000);
  const sumsOf = (build: Building): ChangeSums => {
    const known = waiting.get(build) ?? createChangeSums(build.target);
    waiting.set(build, known);
    return known;
  };
  const flush = async (build: Building, sums: ChangeSums): Promise<void> => {
    signal.throwIfAborted();
    if (!(await hasRoom())) throw new Error('Redis is too full for a second set of counts');
    await build.write(sums.take());
  };
  let open: { readonly userId: string; readonly build: Building; readonly history: UserHistory; readonly newestMs: number } | undefined;
  let count = 0;
  const close = (): void => {
    if (open !== undefined) sumsOf(open.build).setHistory(open.userId, open.history, ttlAt(open.newestMs));
  };
  for await (const event of events) {
    if (open?.userId !== event.user_id) {
      close();
      open = { userId: event.user_id, build: buildOf(event.user_id), history: EMPTY_HISTORY, newestMs: 0 };
      users.add(event.user_id);
    }
    const atMs = Date.parse(event.ts);
    const { history, increments } = planInteraction(open.history, { sku: event.asin, type: event.event_type, category: event.category, atMs });
    open = { ...open, history, newestMs: Math.max(open.newestMs, atMs) };
    const sums = sumsOf(open.build);
    sums.add(increments, ttlAt(atMs));
    count += 1;
    if (maybeTwice.has(event.event_id)) twice.add(event.event_id);
    if (event.deferred === true) deferred.add(open.build.partition, event.event_id);
    if (sums.size >= MAX_WAITING) await flush(open.build, sums);
  }
  close();
  for (const [build, sums] of waiting) await flush(build, sums);
  return { events: count, users: users.count(), twice, deferred: deferred.byPartition, isDeferred: deferred.has, sample: users.sample() };
}

function createDeferred() {
  const byPartition = new Map<number, string[]>();
  const all = new Set<string>();
  return {
    byPartition,
    has: (id: string): boolean => all.has(id),
    add: (partition: number, id: string): void => {
      all.add(id);
      const known = byPartition.get(partition);
      if (known === undefined) byPartition.set(partition, [id]);
      else known.push(id);
    },
  };
}

/** The first, then every second, fourth, … of the users, so that the sample is spread over all and bounded. */
function createUserSample() {
  let sampled: string[] = [];
  let every = 1;
  let seen = 0;
  return {
    count: (): number => seen,
    sample: (): readonly string[] => sampled,
    add: (userId: string): void => {
      if (seen % every === 0) sampled.push(userId);
      seen += 1;
      if (sampled.length <= 2 * SAMPLED_USERS) return;
      sampled = sampled.filter((_user, at) => at % 2 === 0);
      every *= 2;
    },
  };
}
