import { setTimeout as delay } from 'node:timers/promises';
import { SinkUnavailableError } from '@millrace/bus';
import type { BatchHandler } from '@millrace/bus';
import type { Interaction } from '@millrace/contracts';
import { asText, compareStreamIds } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { createChangeSums, planEvents, readHistory, toScriptArguments } from './count-changes.ts';
import type { CountedEvent } from './count-changes.ts';
import { FIRST_GENERATION, partitionKeys } from './count-keys.ts';
import type { CountKeys, PartitionKeys } from './count-keys.ts';
import { applyCounts } from './count-script.ts';
import { encodeTailEvent } from './tail-event.ts';

export interface CountInteractionsDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly ttlSeconds: number;
  /** Partitions whose counts are read; told before the first count of one is written. */
  readonly addPartition: (partition: number) => Promise<void>;
  /** false: Redis is nearly full, and no user, item or list is begun until there is room. Default: there is. */
  readonly hasRoom?: () => Promise<boolean>;
  readonly onCounted?: (counted: { readonly events: number; readonly users: readonly string[]; readonly skus: readonly string[] }) => void;
}

/**
 * Counts events, each once: a batch is one script, with the id of the last event in it beside the counts, so that a batch that comes again, whole or in part,
 * changes nothing. Needs `ordering: 'partition'`: an event that comes after a later one counts as done. It never fails for a single event, only for Redis, so that no later event
 * of a partition is counted before an earlier one. While a generation is being built, the same script keeps the events for it.
 */
export function countInteractions(deps: CountInteractionsDeps): BatchHandler<Interaction> {
  // Live generations as they were last: a guess, which every batch checks.
  const generations = new Map<number, string>();
  return async (events, delivery) => {
    const partition = delivery?.partition ?? 0;
    const of = partitionKeys(deps.keys, partition);
    try {
      await deps.addPartition(partition);
      for (let attempt = 0; ; attempt += 1) {
        const tried = await countBatch(deps, { of, events, guess: generations.get(partition) ?? '' });
        generations.set(partition, tried.generation);
        if (tried.outcome === 'done') return;
        if (attempt >= MAX_ATTEMPTS) throw new Error('the generations of the counts change too often');
        if (tried.outcome === 'hold') await delay(HELD_MS);
      }
    } catch (error) {
      throw new SinkUnavailableError('the counts cannot be written now', { cause: error });
    }
  };
}

/** A swap holds counting for less than that. */
const MAX_ATTEMPTS = 500;
const HELD_MS = 10;

/** As it is in Redis; "" = absent. */
interface State { readonly applied: string; readonly generation: string; readonly building: string; readonly userMoves: string }
/** `guess`: the live generation. */
interface Batch { readonly of: PartitionKeys; readonly events: readonly Interaction[]; readonly guess: string }
interface Tried { readonly outcome: 'done' | 'hold' | 'moved'; readonly generation: string }

const liveOf = (of: PartitionKeys, generation: string): CountKeys => of.of(generation === '' ? FIRST_GENERATION : generation);

/** What is there, the users' histories, and the events that are counted already: one round trip. */
async function read(redis: Redis, { of, events, guess }: Batch, users: readonly string[]): Promise<{ readonly state: State; readonly texts: readonly (string | null)[]; readonly counted: ReadonlySet<string> }> {
  const live = liveOf(of, guess);
  const ids = events.map(({ meta }) => meta.id);
  const [[applied = null, generation = null, building = null, userMoves = null, ...texts], flags] = await Promise.all([
    redis.mget(of.applied, of.generation, of.building, of.userMoves, ...users.map((id) => live.user(id))), redis.smismember(live.counted, ...ids),
  ]);
  return { state: { applied: applied ?? '', generation: generation ?? '', building: building ?? '', userMoves: userMoves ?? '' }, texts, counted: new Set(ids.filter((_id, at) => flags[at] === 1)) };
}

const toCounted = ({ user_id: userId, asin, type, category, meta }: Interaction): CountedEvent => ({ userId, sku: asin, type, category, atMs: Date.parse(meta.timestamp) });

async function countBatch({ redis, ttlSeconds, onCounted, hasRoom }: CountInteractionsDeps, batch: Batch): Promise<Tried> {
  const { of, events } = batch;
  const users = [...new Set(events.map(({ user_id: id }) => id))];
  const { state: { applied, generation, building, userMoves }, texts, counted } = await read(redis, batch, users);
  if (generation !== batch.guess) return { outcome: 'moved', generation };
  const fresh = events.filter(({ meta }) => applied === '' || compareStreamIds(streamIdOf(meta.streamId), applied) > 0);
  const last = fresh.at(-1);
  if (last === undefined) return { outcome: 'done', generation };
  const added = fresh.filter(({ meta }) => !counted.has(meta.id));
  const sums = createChangeSums(liveOf(of, generation));
  planEvents(sums, added.map(toCounted), { before: new Map(users.map((id, at) => [id, readHistory(texts[at] ?? null)])), ttlSecondsAt: () => ttlSeconds });
  const changes = toScriptArguments(sums.take());
  const tail = building === '' ? [] : added.map((event) => encodeTailEvent(event.meta.id, toCounted(event)));
  const grow = hasRoom === undefined || (await hasRoom()) ? 'grow' : '';
  const outcome = asText(await applyCounts(redis, [of.applied, of.generation, of.building, of.userMoves, of.tail, ...changes.keys], [applied, generation, building, userMoves, streamIdOf(last.meta.streamId), grow, tail.length, ...tail, ...changes.args]));
  if (outcome === 'overtaken') throw new Error('another consumer has counted meanwhile');
  if (outcome !== 'ok') return { outcome: outcome === 'hold' ? 'hold' : 'moved', generation };
  onCounted?.({ events: added.length, users: [...new Set(added.map(({ user_id: id }) => id))], skus: [...new Set(added.map(({ asin }) => asin))] });
  return { outcome: 'done', generation };
}

function streamIdOf(id: string | undefined): string {
  if (id === undefined) throw new Error('an event came without its place in the stream');
  return id;
}
