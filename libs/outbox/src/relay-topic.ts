import { HEARTBEAT, keysOf, partitionOf, readLayout } from '@millrace/bus';
import type { DurablePublisher, Layout, Topic } from '@millrace/bus';
import type { Keys, TopicKeys } from '@millrace/redis-kit';
import { establishStream, firstLostBatch, StreamLostError } from './publish.ts';
import type { PublishDeps, RelayStream } from './publish.ts';
import { createDurableSink, createRedisSink } from './sinks.ts';

/** A topic as the active relay sees it: nothing is known of its partitions until it is established. */
export interface RelayTopic {
  readonly topic: Topic;
  /** The broker, where it is not Redis. */
  readonly durable: (DurablePublisher & { readonly engine: string }) | undefined;
  /** As configured; undefined: whatever the topic has. */
  partitions: number | undefined;
  streams: readonly RelayStream[];
  /** Partitions that consumers have not finished: nothing is appended, but Redis may still lose what is in them. */
  draining: readonly TopicKeys[];
}

/** The number of the first batch: ids begin at 1. */
const ALL = '0';

/**
 * Looks where the topic's events go now, sees to it that no partition that is gone had something to say, and makes each current partition ours.
 * @throws PartitionMismatchError where the topic has another number of partitions than configured.
 */
export async function establishTopic(deps: PublishDeps, keys: Keys, relayTopic: RelayTopic): Promise<void> {
  const { topic } = relayTopic;
  const { redis } = deps;
  if (relayTopic.durable || !redis) return establishDurable(deps, relayTopic);
  const layout = await readLayout(redis, keys, topic.name, relayTopic.partitions);
  // Looked at when the service starts: a running relay goes along with a repartitioning.
  relayTopic.partitions = undefined;
  const { count } = layout.current;
  const streams = keysOf(keys, topic.name, layout.current).map((of, index): RelayStream => ({
    topic, name: of.stream, sink: createRedisSink(topic, of), layoutId: layout.id, fence: undefined,
    holds: ([, , , type, key]) => count === 1 || type === HEARTBEAT || partitionOf(key, count) === index,
  }));
  relayTopic.draining = layout.draining ? keysOf(keys, topic.name, layout.draining) : [];
  await reconcile(deps, relayTopic, layout, streams.map((stream) => stream.name));
  for (const stream of streams) await establishStream(deps, stream);
  relayTopic.streams = streams;
}

/** One partition, under a name of its own: what was published to Redis says nothing about another broker. */
async function establishDurable(deps: PublishDeps, relayTopic: RelayTopic): Promise<void> {
  const { topic, durable } = relayTopic;
  if (!durable) throw new TypeError('a relay has neither Redis nor another broker');
  const stream: RelayStream = { topic, name: `${durable.engine}/${topic.name}`, sink: createDurableSink(topic, durable), layoutId: '', fence: undefined, holds: () => true };
  await establishStream(deps, stream);
  relayTopic.streams = [stream];
}

/**
 * Partitions that the topic does not have any more: where the layout is the one that we knew, they were drained, and are forgotten. Where it is
 * another (Redis was flushed, or is another one), what was in them in the last day is published again to the current ones. The same for
 * what Redis has lost of a partition that is draining.
 */
async function reconcile(deps: PublishDeps, { topic, draining }: RelayTopic, layout: Layout, current: readonly string[]): Promise<void> {
  const { pool, statements } = deps;
  const lineage = `${topic.name}:layout`;
  const known = (await pool.query<{ stream: string }>(statements.knownStreams, [topic.name, `${topic.name}:{${topic.name}:`])).rows.map(({ stream }) => stream);
  const id = (await pool.query<{ epoch: string }>(statements.readState, [lineage])).rows[0]?.epoch;
  const still = new Set([...current, ...draining.map(({ stream }) => stream)]);
  const gone = known.filter((stream) => !still.has(stream));
  const isSame = id === layout.id || (id === undefined && gone.length === 0);

  if (gone.length > 0) {
    if (!isSame) await pool.query(statements.adoptBatches, [gone, current, ALL]);
    await pool.query(statements.forgetBatches, [gone]);
    await pool.query(statements.forgetStates, [gone]);
    deps.logger.info({ topic: topic.name, streams: gone.length, published: isSame ? 'drained' : 'again' }, 'partitions are gone');
  }
  for (const of of draining) {
    const from = await firstLostBatch(deps, of.stream, await createRedisSink(topic, of).read(deps));
    if (from === null) continue;
    deps.logger.warn({ topic: topic.name, stream: of.stream, fromBatch: from }, 'a draining partition has lost entries: publishing them again to the current ones');
    await pool.query(statements.adoptBatches, [[of.stream], current, from]);
    await pool.query(statements.forgetBatches, [[of.stream]]);
  }
  await pool.query(statements.rememberLayout, [lineage, layout.id]);
}

/** Throws StreamLostError where a draining partition has lost entries; the current ones are looked at by their fences. */
export async function checkDraining(deps: PublishDeps, { topic, draining }: RelayTopic): Promise<void> {
  for (const of of draining)
    if ((await firstLostBatch(deps, of.stream, await createRedisSink(topic, of).read(deps))) !== null) throw new StreamLostError(topic.name);
}
