import { onReconnect } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { encodeWireEvent, wireNames, wireValues } from '../codec.ts';
import type { WireEvent } from '../codec.ts';
import { SinkUnavailableError } from '../errors.ts';
import type { BusMetrics } from '../metrics.ts';
import { createRoom } from '../room.ts';
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
  const routes = new Map<string, Route>();
  const known = new Set<string>();
  onReconnect(control, () => {
    for (const route of routes.values()) route.isWarm = false;
  });
  const room = createRoom(maxInFlight, maxWaiting);

  const openRoute = async (topic: Topic): Promise<Route> => {
    // Looked at once: a running publisher goes along with a repartitioning.
    const wanted = known.has(topic.name) ? undefined : partitionsOf(topic.name);
    const route = createRoute(keys, topic, await readLayout(control, keys, topic.name, wanted));
    known.add(topic.name);
    routes.set(topic.name, route);
    return route;
  };
  /** Where the topic has moved meanwhile, the events go there. */
  const append = async (topic: Topic, events: readonly WireEvent[]): Promise<void> => {
    let left = events;
    for (let attempt = 1; left.length > 0; attempt += 1) {
      if (attempt > MAX_MOVES) throw new SinkUnavailableError(`the topic ${topic.name} moves to other partitions all the time`);
      const route = routes.get(topic.name) ?? (await openRoute(topic));
      left = await appendAlong(control, route, topic, left);
      if (left.length > 0) routes.delete(topic.name);
    }
  };
  return {
    async publish(topic, events) {
      if (events.length === 0) return;
      const encoded = events.map((event) => encodeWireEvent(topic, event));
      const size = encoded.reduce((sum, { data }) => sum + data.length + 200, 0);
      if (!room.tryEnter(size)) await room.enter(size);
      try {
        await append(topic, encoded);
      } finally {
        room.leave(size);
      }
      metrics.published(topic.name, events.length);
    },
  };
}

const MAX_MOVES = 5;

/** What is the same for every call of the script, as long as the layout holds. */
interface Route {
  /** The script's keys, by partition. */
  readonly partitions: readonly (readonly string[])[];
  readonly before: readonly (string | number)[];
  readonly after: readonly (string | number)[];
  /** The servers know the script: chunks may follow each other without waiting. */
  isWarm: boolean;
}

function createRoute(keys: Keys, topic: Topic, { id, current }: Layout): Route {
  const names = wireNames(topic);
  return {
    partitions: keysOf(keys, topic.name, current).map((of) => [of.stream, of.layout, of.recentIds]),
    before: [id, topic.options.maxLength ?? '', topic.options.dedupMs ?? 0],
    after: [names.indexOf('id'), names.length, ...names],
    isWarm: false,
  };
}

/** Returns the events that were not appended because the topic has moved. */
async function appendAlong(control: Redis, route: Route, topic: Topic, events: readonly WireEvent[]): Promise<readonly WireEvent[]> {
  const { partitions } = route;
  const [only] = partitions;
  const call = (own: readonly string[], chunk: readonly WireEvent[]): Promise<unknown> => {
    const args: (string | number)[] = [...route.before, Date.now(), ...route.after];
    for (const event of chunk) args.push(...wireValues(topic, event));
    return appendEvents(control, own, args);
  };
  // The common case without a detour: it is somebody's latency.
  if (only && partitions.length === 1 && events.length <= CHUNK) return (await call(only, events)) === 'moved' ? events : [];

  const chunks = partitions.flatMap((own, index) => chunksOf(partitions.length === 1 ? events : events.filter(({ key }) => partitionOf(key, partitions.length) === index)).map((chunk) => ({ own, chunk })));
  const replies: PromiseSettledResult<unknown>[] = [];
  // A server that does not know the script would be sent it behind the next chunk: once, each chunk is waited for.
  if (!route.isWarm) for (const { own, chunk } of chunks) replies.push({ status: 'fulfilled', value: await call(own, chunk) });
  // After that one connection keeps their order.
  else replies.push(...(await Promise.allSettled(chunks.map(({ own, chunk }) => call(own, chunk)))));
  for (const reply of replies) if (reply.status === 'rejected') throw reply.reason;
  route.isWarm = true;
  return chunks.flatMap(({ chunk }, index) => (replies[index]?.status === 'fulfilled' && replies[index].value === 'moved' ? chunk : []));
}

function chunksOf(events: readonly WireEvent[]): (readonly WireEvent[])[] {
  const chunks: (readonly WireEvent[])[] = [];
  for (let start = 0; start < events.length; start += CHUNK) chunks.push(events.slice(start, start + CHUNK));
  return chunks;
}
