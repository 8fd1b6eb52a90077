import { SinkUnavailableError } from '@millrace/bus';
import type { BatchHandler } from '@millrace/bus';
import type { Interaction } from '@millrace/contracts';
import { decodeHistory, EMPTY_HISTORY, encodeHistory, planInteraction } from '@millrace/ranking';
import type { Increment, UserHistory } from '@millrace/ranking';
import { asText, compareStreamIds } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { countKeys } from './count-keys.ts';
import type { CountKeys } from './count-keys.ts';
import { applyCounts } from './count-script.ts';

export interface CountInteractionsDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly ttlSeconds: number;
  /** Partitions whose counts are read; told before the first count of one is written. */
  readonly addPartition: (partition: number) => Promise<void>;
  readonly onCounted?: (counted: { readonly events: number; readonly users: readonly string[]; readonly skus: readonly string[] }) => void;
}

/** What one key gets: kind as the script has it, then names and values. */
interface Change { readonly kind: string; readonly key: string; readonly values: readonly (readonly [string, string | number])[] }

/**
 * Counts events, each once: a batch is one script, with the id of the last event in it beside the counts, so that a batch that comes again, whole or in part,
 * changes nothing. Needs `ordering: 'key'` (one consumer a partition). It never fails for a single event, only for Redis, so that no later event
 * of a partition is counted before an earlier one.
 */
export const countInteractions =
  (deps: CountInteractionsDeps): BatchHandler<Interaction> =>
  async (events, delivery) => {
    const partition = delivery?.partition ?? 0;
    try {
      await deps.addPartition(partition);
      await countBatch(deps, countKeys(deps.keys, partition), events);
    } catch (error) {
      throw new SinkUnavailableError('the counts cannot be written now', { cause: error });
    }
  };

async function countBatch({ redis, ttlSeconds, onCounted }: CountInteractionsDeps, of: CountKeys, events: readonly Interaction[]): Promise<void> {
  const users = [...new Set(events.map(({ user_id: id }) => id))];
  const [applied = null, ...texts] = await redis.mget(of.applied, ...users.map((id) => of.user(id)));
  const fresh = events.filter(({ meta }) => applied === null || compareStreamIds(streamIdOf(meta.streamId), applied) > 0);
  const last = fresh.at(-1);
  if (last === undefined) return;
  const before = new Map(users.map((id, at) => [id, readHistory(texts[at] ?? null)]));
  const { histories, increments } = planAll(fresh, before);
  const changes = [
    ...[...histories].map(([id, history]): Change => ({ kind: 'u', key: of.user(id), values: [['', encodeHistory(history)]] })),
    ...changesOf(of, increments),
  ];
  const args = changes.flatMap(({ kind, values }) => [kind, values.length, ...values.flat()]);
  const outcome = asText(await applyCounts(redis, [of.applied, ...changes.map(({ key }) => key)], [applied ?? '', streamIdOf(last.meta.streamId), ttlSeconds, ...args]));
  if (outcome !== 'ok') throw new Error('another consumer has counted meanwhile');
  onCounted?.({ events: fresh.length, users: [...histories.keys()], skus: [...new Set(fresh.map(({ asin }) => asin))] });
}

function streamIdOf(id: string | undefined): string {
  if (id === undefined) throw new Error('an event came without its place in the stream');
  return id;
}

/** What cannot be read (another format) begins anew, rather than stopping everybody's counts. */
function readHistory(text: string | null): UserHistory {
  if (text === null) return EMPTY_HISTORY;
  try {
    return decodeHistory(text);
  } catch {
    return EMPTY_HISTORY;
  }
}

function planAll(events: readonly Interaction[], before: ReadonlyMap<string, UserHistory>): { histories: ReadonlyMap<string, UserHistory>; increments: readonly Increment[] } {
  const histories = new Map<string, UserHistory>();
  const increments: Increment[] = [];
  for (const { user_id: id, asin, type, category, meta } of events) {
    const planned = planInteraction(histories.get(id) ?? before.get(id) ?? EMPTY_HISTORY, { sku: asin, type, category, atMs: Date.parse(meta.timestamp) });
    histories.set(id, planned.history);
    increments.push(...planned.increments);
  }
  return { histories, increments };
}

interface Target { readonly kind: string; readonly key: string; readonly name: string }

function targetOf(of: CountKeys, one: Increment): Target {
  if (one.kind === 'pair') return { kind: 'p', key: of.neighbours(one.list, one.sku), name: one.other };
  if (one.kind === 'counter') return { kind: 'c', key: of.counter(one.counter), name: one.sku };
  return { kind: one.category === null ? 'a' : 'b', key: of.board(one.board, one.category), name: one.sku };
}

/** Added up: each name of a key once. */
function changesOf(of: CountKeys, increments: readonly Increment[]): Change[] {
  const sums = new Map<string, { kind: string; values: Map<string, number> }>();
  for (const one of increments) {
    const { kind, key, name } = targetOf(of, one);
    const known = sums.get(key) ?? { kind, values: new Map<string, number>() };
    known.values.set(name, (known.values.get(name) ?? 0) + one.by);
    sums.set(key, known);
  }
  return [...sums].map(([key, { kind, values }]) => ({ kind, key, values: [...values] }));
}
