import { wireNames, wireValues } from '@millrace/bus';
import type { DurablePublisher, Topic } from '@millrace/bus';
import { splitStreamId } from '@millrace/redis-kit';
import type { Redis, TopicKeys } from '@millrace/redis-kit';
import { appendFenced, readStreamState, within } from './append.ts';
import type { Appended, Entries, Fence, StreamState } from './append.ts';
import type { PublishDeps } from './publish.ts';
import type { EventRow } from './statements.ts';

/** What a sink needs of the relay. */
export type SinkDeps = Pick<PublishDeps, 'redis' | 'appendTimeoutMs'>;

/** Where a partition's batches go. */
export interface RelaySink {
  /** Appends all rows or none, in order, if the fence holds; without rows only looks. Rejects where no answer comes in time: the rows may have been appended then. */
  append(deps: SinkDeps, fence: Fence, rows: readonly EventRow[]): Promise<Appended>;
  /** The same look without a fence. */
  read(deps: SinkDeps): Promise<StreamState>;
  /** From now on an older relay is refused, as far as the broker can do that. */
  setEpoch(deps: SinkDeps, epoch: string): Promise<void>;
}

const rowToValues = (topic: Topic, [, , id, type, key, version, data, traceparent, timestamp]: EventRow): readonly string[] =>
  wireValues(topic, { id, type, key, version, data, traceparent, timestamp });

/** Without the columns that no row fills: arguments are what a large append costs. */
function toEntries(topic: Topic, rows: readonly EventRow[]): Entries {
  const all = rows.map((row) => rowToValues(topic, row));
  const names = wireNames(topic);
  const used = names.flatMap((_name, column) => (all.some((values) => values[column] !== '') ? [column] : []));
  const values: string[] = [];
  for (const row of all) for (const column of used) values.push(row[column] ?? '');
  return { names: used.map((column) => names[column] ?? ''), values };
}

const redisOf = ({ redis }: SinkDeps): Redis => {
  if (!redis) throw new TypeError('a relay to Redis has no Redis');
  return redis;
};

/** A stream of Redis, which may lose what it has acknowledged: every append is fenced by epoch and last id (I2). */
export const createRedisSink = (topic: Topic, keys: TopicKeys): RelaySink => ({
  append: (deps, fence, rows) => appendFenced(redisOf(deps), keys, fence, { ...toEntries(topic, rows), maxLength: topic.options.maxLength, timeoutMs: deps.appendTimeoutMs }),
  read: (deps) => readStreamState(redisOf(deps), keys, deps.appendTimeoutMs),
  setEpoch: async (deps, epoch) => void (await within(deps.appendTimeoutMs, redisOf(deps).set(keys.epoch, epoch))),
});

/**
 * A broker that keeps what it has acknowledged. A topic that ends before what was committed was lost all the same (removed, restored from an older copy): everything behind it is
 * published again. There is no epoch to shut an older relay out: its leadership is looked at before each commit, and versions guard the effects.
 */
export function createDurableSink(topic: Topic, durable: DurablePublisher): RelaySink {
  const state = (number: number): StreamState => ({ epoch: '', lastId: `0-${number}` });
  return {
    async append(deps, fence, rows) {
      const [, known] = splitStreamId(fence.lastId);
      const events = rows.map(([, , id, type, key, version, data, traceparent, timestamp]) => ({ id, type, key, version, data, traceparent, timestamp }));
      const over = new AbortController();
      const append = events.length === 0 ? durable.lastNumber(topic) : durable.append(topic, events, { signal: over.signal });
      // What is not sent when the time is up never is: the next attempt would overlap with it.
      const number = await within(deps.appendTimeoutMs, append).finally(() => over.abort(new Error('the append was given up')));
      return number < known + rows.length ? { kind: 'lost', state: state(number) } : { kind: 'ok', lastId: `0-${number}` };
    },
    read: async (deps) => state(await within(deps.appendTimeoutMs, durable.lastNumber(topic))),
    setEpoch: async () => undefined,
  };
}
