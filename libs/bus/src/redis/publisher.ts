import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import { encodeWireEvent, wireNames, wireValues } from '../codec.ts';
import type { WireEvent } from '../codec.ts';
import { SinkUnavailableError } from '../errors.ts';
import type { BusMetrics } from '../metrics.ts';
import type { NewEventOf, Topic } from '../topic.ts';
import { keysOf, partitionOf, readLayout } from './layout.ts';
import type { Layout } from './layout.ts';
import { appendEvents } from './scripts/publish.ts';

export interface PublisherDeps {
  readonly control: Redis;
  readonly keys: Keys;
  readonly partitionsOf: (topic: string) => number | undefined;
  /** What may be on its way to Redis at once, in characters; more waits. */
  readonly maxInFlight: number;
  /** What may wait besides; more is refused at once. */
  readonly maxWaiting: number;
  readonly metrics: BusMetrics;
}

export interface Publisher {
  publish<T extends Topic>(topic: T, events: readonly NewEventOf<T>[]): Promise<void>;
}

/** Entries of one script call: a longer one would keep other clients of Redis waiting. */
const CHUNK = 100;

/**
 * Appends in order, each chunk of a partition in one script. While Redis is slow, a bounded amount is on its way and a bounded amount waits;
 * beyond that publishing is refused (`unavailable`), so that a producer that cannot stop does not fill its memory.
 */
export function createPublisher({ control, keys, partitionsOf, maxInFlight, maxWaiting, metrics }: PublisherDeps): Publisher {
  const layouts = new Map<string, Layout>();
  const room = createRoom(maxInFlight, maxWaiting);

  const layoutOf = async ({ name }: Topic): Promise<Layout> => {
    const layout = layouts.get(name) ?? (await readLayout(control, keys, name, partitionsOf(name)));
    layouts.set(name, layout);
    return layout;
  };
  /** Where the topic has moved meanwhile, the events go there. */
  const append = async (topic: Topic, events: readonly WireEvent[]): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      const layout = await layoutOf(topic);
      const partitions = keysOf(keys, topic.name, layout.current);
      const moved = (await Promise.all(partitions.map((of, index) => appendTo(control, { topic, of, layoutId: layout.id }, partitions.length === 1 ? events : events.filter(({ key }) => partitionOf(key, partitions.length) === index))))).flat();
      if (moved.length === 0) return;
      if (attempt >= 5) throw new SinkUnavailableError(`the topic ${topic.name} moves to other partitions all the time`);
      layouts.delete(topic.name);
      events = moved;
    }
  };
  return {
    async publish(topic, events) {
      if (events.length === 0) return;
      const encoded = events.map((event) => encodeWireEvent(topic, event));
      const size = encoded.reduce((sum, { data }) => sum + data.length + 200, 0);
      await room.enter(size);
      try {
        await append(topic, encoded);
      } finally {
        room.leave(size);
      }
      metrics.published(topic.name, events.length);
    },
  };
}

interface Target {
  readonly topic: Topic;
  readonly of: TopicKeys;
  readonly layoutId: string;
}

/** Returns the events that were not appended because the topic has moved. */
async function appendTo(control: Redis, { topic, of, layoutId }: Target, events: readonly WireEvent[]): Promise<readonly WireEvent[]> {
  const names = wireNames(topic);
  const head = [layoutId, topic.options.maxLength ?? '', topic.options.dedupMs ?? 0, Date.now(), names.indexOf('id'), names.length, ...names];
  const calls: Promise<unknown>[] = [];
  const chunks: (readonly WireEvent[])[] = [];
  for (let start = 0; start < events.length; start += CHUNK) {
    const chunk = events.slice(start, start + CHUNK);
    chunks.push(chunk);
    // Sent without waiting for the one before: one connection keeps their order.
    calls.push(appendEvents(control, [of.stream, of.layout, of.recentIds], [...head, ...chunk.flatMap((event) => wireValues(topic, event))]));
  }
  const replies = await Promise.allSettled(calls);
  for (const reply of replies) if (reply.status === 'rejected') throw reply.reason;
  return chunks.filter((_chunk, index) => replies[index]?.status === 'fulfilled' && replies[index].value === 'moved').flat();
}

/** Bounds what is under way, first come, first served. */
function createRoom(maxInFlight: number, maxWaiting: number): { enter(size: number): Promise<void>; leave(size: number): void } {
  let inFlight = 0;
  let waitingSize = 0;
  const waiting: { readonly size: number; readonly enter: () => void }[] = [];
  // One that is larger than all the room goes alone.
  const fits = (size: number): boolean => inFlight === 0 || inFlight + size <= maxInFlight;
  return {
    async enter(size) {
      if (waiting.length === 0 && fits(size)) {
        inFlight += size;
        return;
      }
      if (waitingSize + size > maxWaiting && waiting.length > 0) throw new SinkUnavailableError('too much is waiting to be published already: Redis is slow or away');
      waitingSize += size;
      await new Promise<void>((resolve) => waiting.push({ size, enter: resolve }));
    },
    leave(size) {
      inFlight -= size;
      for (let next = waiting[0]; next && fits(next.size); next = waiting[0]) {
        waiting.shift();
        waitingSize -= next.size;
        inFlight += next.size;
        next.enter();
      }
    },
  };
}
