import { setTimeout as delay } from 'node:timers/promises';
import { createRedisPositions, partitionOf } from '@millrace/bus';
import type { BusPositions, Layout, StreamEnds } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import type { Keys, Redis } from '@millrace/redis-kit';
import { beginBuild } from './building.ts';
import type { Building } from './building.ts';
import { catchUp } from './catch-up.ts';
import { fillFromExport } from './fill-from-export.ts';
import { measureDrift } from './measure-drift.ts';
import type { Drift } from './measure-drift.ts';
import type { InteractionExport } from './read-interactions.ts';

export interface RebuildCountsDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  /** Of the bus; default: of the bus on this Redis. */
  readonly positions?: BusPositions;
  readonly ttlSeconds: number;
  readonly log: InteractionExport;
  /** Group that counts. */
  readonly group: string;
  /** Partitions that have counts now. */
  readonly partitions: () => Promise<readonly number[]>;
  readonly addPartition: (partition: number) => Promise<void>;
  /** Redis has room for a second set of counts; asked while it is filled. */
  readonly hasRoom: () => Promise<boolean>;
}

export interface Rebuilt {
  readonly generation: string;
  readonly events: number;
  readonly users: number;
  /** How far the replaced counts were off. */
  readonly drift: Drift;
}

const RENEW_MS = 5_000;
const PASS_TIMEOUT_MS = 60_000;

/** Partition of the events of a user, as the publisher has it. */
const partitionOfUser = ({ current }: Layout, userId: string): number => current.first + partitionOf(userId, current.count);

const positionsOf = ({ positions, redis, keys }: RebuildCountsDeps): BusPositions => positions ?? createRedisPositions(redis, keys);

const isSameLayout = (a: Layout, b: Layout): boolean => a.current.first === b.current.first && a.current.count === b.current.count && b.draining === undefined;

/**
 * Builds the counts of all partitions anew from the log, beside the live ones, while events go on, and makes them live: every event counts in them once (README, "How counts
 * are built anew"). Safe to be killed at any time: the live counts stay as they are. Only one at a time; an older one is refused from then on.
 * @throws BuildLostError and whatever Redis and the export reject with; then nothing has changed, but that some partitions may be live already
 */
export async function rebuildCounts(deps: RebuildCountsDeps, signal: AbortSignal): Promise<Rebuilt> {
  const { redis, keys } = deps;
  const layout = await positionsOf(deps).layout(interactions);
  if (layout.draining !== undefined) throw new Error('the partitions of interactions are changing: the counts are built when that is over');
  const generation = Date.now().toString(36);
  const current = Array.from({ length: layout.current.count }, (_none, at) => layout.current.first + at);
  for (const partition of current) await deps.addPartition(partition);
  const all = [...new Set([...current, ...(await deps.partitions())])];
  const builds: Building[] = [];
  const lost = new AbortController();
  const renewing = setInterval(() => void Promise.all(builds.map((one) => one.renew())).catch((error: unknown) => lost.abort(error)), RENEW_MS);
  try {
    for (const partition of all) builds.push(await beginBuild(redis, keys, { partition, generation }));
    return await build(deps, { builds, layout, generation, signal: AbortSignal.any([signal, lost.signal]) });
  } catch (error) {
    await Promise.allSettled(builds.map((one) => one.giveUp()));
    throw error;
  } finally {
    clearInterval(renewing);
  }
}

interface Build { readonly builds: readonly Building[]; readonly layout: Layout; readonly generation: string; readonly signal: AbortSignal }

async function build(deps: RebuildCountsDeps, { builds, layout, generation, signal }: Build): Promise<Rebuilt> {
  const { redis, log, group, ttlSeconds, hasRoom } = deps;
  const positions = positionsOf(deps);
  const byPartition = new Map(builds.map((one) => [one.partition, one]));
  const buildOf = (userId: string): Building => {
    const found = byPartition.get(partitionOfUser(layout, userId));
    if (found === undefined) throw new Error('a user of a partition that is not there');
    return found;
  };
  // What was counted before the builds began is in the stream up to here, so it is in the export; what comes later is in a tail.
  const exported = await log.open(await positions.ends(interactions), signal);
  // All that the snapshot has is in the stream up to here, or flagged: once it is counted, a tail has what may be in both.
  await passed(positions, group, await positions.ends(interactions), signal);
  const maybeTwice = new Set((await Promise.all(builds.map((one) => tailIds(redis, one)))).flat());
  const filled = await fillFromExport({ events: exported.events, buildOf, maybeTwice, ttlSeconds, hasRoom, signal });
  for (const one of builds) await keepCounted(redis, one, filled.deferred.get(one.partition) ?? []);
  const isCounted = (id: string): boolean => filled.twice.has(id) || filled.isDeferred(id);
  const progress = new Map(builds.map((one) => [one, { tail: 0, userChanges: 0 }]));
  const follow = async (one: Building): Promise<{ readonly tail: number; readonly userChanges: number }> => {
    const next = await catchUp({ redis, build: one, from: progress.get(one) ?? { tail: 0, userChanges: 0 }, isCounted, ttlSeconds });
    progress.set(one, next);
    return next;
  };
  for (const one of builds) await follow(one);
  const drift = await measureDrift(redis, { builds, users: filled.sample, buildOf });
  if (!isSameLayout(layout, await positions.layout(interactions))) throw new Error('the partitions of interactions changed while the counts were built');
  for (const one of builds) await swapWhenCaughtUp(one, follow, signal);
  return { generation, events: filled.events, users: filled.users, drift };
}

/** After so many tries on the move, counting is held. */
const FREE_TRIES = 10;

async function swapWhenCaughtUp(one: Building, follow: (one: Building) => Promise<{ readonly tail: number; readonly userChanges: number }>, signal: AbortSignal): Promise<void> {
  for (let tried = 0; ; tried += 1) {
    signal.throwIfAborted();
    if (tried >= FREE_TRIES) await one.hold();
    if (await one.swap(await follow(one))) return;
  }
}

async function passed(positions: BusPositions, group: string, ends: StreamEnds, signal: AbortSignal): Promise<void> {
  const givenUpAt = performance.now() + PASS_TIMEOUT_MS;
  while (!(await positions.hasPassed(group, ends))) {
    if (performance.now() > givenUpAt) throw new Error('counting is too far behind the stream to build the counts anew');
    await delay(20, undefined, { signal });
  }
}

const tailIds = async (redis: Redis, { keys }: Building): Promise<string[]> => (await redis.lrange(keys.tail, 0, -1)).map((text) => String(JSON.parse(text)[0]));

/** Long enough for events that wait in Postgres to come. */
const COUNTED_SECONDS = 7 * 86_400;

async function keepCounted(redis: Redis, { target }: Building, ids: readonly string[]): Promise<void> {
  for (let from = 0; from < ids.length; from += 1_000) await redis.sadd(target.counted, ...ids.slice(from, from + 1_000));
  if (ids.length > 0) await redis.expire(target.counted, COUNTED_SECONDS);
}
