import { backoffMs, pause } from '../backoff.ts';
import { closeOnAbort } from '../bus.ts';
import type { BatchHandler, BroadcastOptions, EventBus, Subscription } from '../bus.ts';
import { decodeEntry, encodeWireEvent, eraseHandler, wireFields } from '../codec.ts';
import type { AnyEvent } from '../codec.ts';
import { startAssignment } from '../assignment.ts';
import type { Lease } from '../assignment.ts';
import { startConsumer } from '../consumer.ts';
import type { Consumer, ConsumerOptions } from '../consumer.ts';
import { createBusMetrics, silentLogger } from '../metrics.ts';
import type { Topic } from '../topic.ts';
import { createMemoryGroupLog, createMemoryLeaseTable, groupOf } from './memory-group-log.ts';
import { createMemoryTopic } from './memory-topic.ts';
import type { MemoryTopic } from './memory-topic.ts';

export interface MemoryBusOptions {
  readonly batchSize?: number;
  readonly claimIdleMs?: number;
  readonly maxDeliveries?: number;
  readonly retryBaseMs?: number;
}

export interface DeadLetter {
  readonly reason: string;
  readonly attempts: number;
  readonly fields: readonly string[];
}

export interface MemoryBus extends EventBus {
  /** What a group has parked, oldest first. */
  deadLetters(topic: Topic, group: string): readonly DeadLetter[];
  /** Entries that a group has not acknowledged: pending and unread. */
  lag(topic: Topic, group: string): { readonly messages: number };
}

/**
 * The whole contract in one process, for tests: events go through the codec, handlers through the same policy as on Redis.
 * Nothing outlives the bus, and topics grow for ever.
 */
export function createMemoryBus({ batchSize = 64, claimIdleMs = 30_000, maxDeliveries = 5, retryBaseMs = 5 }: MemoryBusOptions = {}): MemoryBus {
  const topics = new Map<string, MemoryTopic>();
  const open = new Set<Subscription>();
  let consumers = 0;
  const metrics = createBusMetrics(undefined);
  const topicOf = ({ name }: Topic): MemoryTopic => {
    let topic = topics.get(name);
    if (!topic) topics.set(name, (topic = createMemoryTopic()));
    return topic;
  };

  return {
    async publish(topic, events) {
      const { dedupMs } = topic.options;
      const log = topicOf(topic);
      const encoded = events.map((event) => encodeWireEvent(topic, event));
      for (const event of encoded) if (dedupMs === undefined || log.isFresh(event.id, dedupMs)) log.append(wireFields(topic, event));
    },
    async subscribe(topic, options, handle) {
      const erased = eraseHandler(topic, handle);
      const log = topicOf(topic);
      const consumer = (options.mode !== 'broadcast' && options.consumer) || `memory-${(consumers += 1)}`;
      const started =
        options.mode === 'broadcast'
          ? startMemoryBroadcast(topic, log, options, erased)
          : startMemoryGroup(log, consumer, {
              topic, metrics, claimIdleMs, maxDeliveries, retryBaseMs,
              handle: erased,
              labels: { topic: topic.name, group: options.group },
              onHeartbeat: (timestamp) => options.onHeartbeat?.(timestamp),
              ...(options.onGroupCreated ? { onGroupCreated: async () => options.onGroupCreated?.() } : {}),
              ordering: options.ordering ?? 'none',
              batchSize: options.batchSize ?? batchSize,
              blockMs: options.blockMs ?? 2_000,
              forgetConsumersMs: 3_600_000,
              logger: silentLogger,
            });
      let closed: Promise<void> | undefined;
      const subscription: Subscription = { close: () => (closed ??= started.close().finally(() => open.delete(subscription))) };
      open.add(subscription);
      closeOnAbort(subscription, options.signal);
      await started.registered;
      return subscription;
    },
    deadLetters: (topic, group) => (topicOf(topic).groups.get(group)?.deadLetters ?? []).map(({ reason, attempts, entry }) => ({ reason, attempts, fields: entry.fields })),
    lag(topic, group) {
      const { entries, groups } = topicOf(topic);
      const found = groups.get(group);
      return { messages: found ? entries.length - found.next + found.pending.size : entries.length };
    },
    close: async () => void (await Promise.all([...open].map((subscription) => subscription.close()))),
  };
}

type GroupConsumerOptions = Omit<ConsumerOptions, 'log' | 'isLeased' | 'delivery'>;

/** Competing consumers; with an order, one at a time. */
function startMemoryGroup(log: MemoryTopic, consumer: string, options: GroupConsumerOptions): { registered: Promise<void>; close(): Promise<void> } {
  const { group } = options.labels;
  const start = (lease: Lease | undefined, signal: AbortSignal): Consumer =>
    startConsumer({
      ...options,
      log: createMemoryGroupLog(log, group, consumer, lease),
      isLeased: lease !== undefined,
      delivery: { signal, partition: 0, ...(lease ? { fencingToken: lease.fencingToken } : {}) },
    });
  if (options.ordering === 'none') return start(undefined, new AbortController().signal);
  groupOf(log, group);
  const assignment = startAssignment({
    partitions: 1, member: consumer, leaseMs: 40, table: createMemoryLeaseTable(log, group, consumer), consume: start, isFinished: async () => false,
    labels: options.labels, logger: silentLogger, metrics: options.metrics,
  });
  return { registered: Promise.resolve(), close: () => assignment.close() };
}

/** Reads on from the topic's end. The only gaps are the first connection and a handler that rejects. */
function startMemoryBroadcast(topic: Topic, log: MemoryTopic, options: BroadcastOptions, handle: BatchHandler<AnyEvent>): { registered: Promise<void>; close(): Promise<void> } {
  const stopping = new AbortController();
  const registered = Promise.withResolvers<undefined>();
  let next = log.entries.length;
  const flushUntilDone = async (): Promise<void> => {
    for (let failures = 1; !stopping.signal.aborted; failures += 1) {
      try {
        await options.onGap?.();
        return;
      } catch {
        await pause(backoffMs(failures), stopping.signal);
      }
    }
  };
  const run = async (): Promise<void> => {
    await flushUntilDone();
    registered.resolve(undefined);
    while (!stopping.signal.aborted) {
      const batch = log.entries.slice(next, next + (options.batchSize ?? 64));
      next += batch.length;
      const events = batch.map((entry) => decodeEntry(topic, entry)).flatMap((decoded) => (decoded.kind === 'event' ? [decoded.event] : []));
      if (events.length > 0) await handle(events).catch(flushUntilDone);
      if (next >= log.entries.length) await log.waitForMore(1_000, stopping.signal);
      else await pause(0, stopping.signal);
    }
  };
  const running = run();
  return {
    registered: registered.promise,
    async close() {
      stopping.abort();
      await running;
    },
  };
}
