import { hostname } from 'node:os';
import { closeRedis, createKeys, infoFields } from '@millrace/redis-kit';
import type { Keys, RedisRole } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { Registry } from 'prom-client';
import type { BatchHandler, BroadcastOptions, EventBus, GroupOptions, Subscription } from '../bus.ts';
import { encodeEvent, eraseHandler } from '../codec.ts';
import type { AnyEvent } from '../codec.ts';
import { startConsumer } from '../consumer.ts';
import { createBusMetrics, silentLogger } from '../metrics.ts';
import type { BusLogger, BusMetrics } from '../metrics.ts';
import type { NewEventOf, Topic } from '../topic.ts';
import { createBlockingReader } from './blocking-reader.ts';
import { startBroadcast } from './broadcast.ts';
import { takeConsumerName } from './consumer-name.ts';
import { readLag } from './lag.ts';
import type { Lag } from './lag.ts';
import { createRedisGroupLog } from './redis-group-log.ts';
import { trimAcknowledgedEntries } from './scripts.ts';

export interface RedisStreamsBusOptions {
  /** A new connection of redis-kit: 'blocking' for each subscription's reader, 'background' for everything else. */
  readonly connect: (role: RedisRole) => Redis;
  readonly batchSize?: number;
  readonly blockMs?: number;
  /** Entries that a consumer has not touched for so long are another's. Handlers may take longer: their entries are touched meanwhile. */
  readonly claimIdleMs?: number;
  /** Handlings after which an entry is parked. */
  readonly maxDeliveries?: number;
  /** Must be unique among running processes and stable over restarts. Default: the host's name. */
  readonly consumer?: string;
  /** First wait before a retry; doubles up to 5 s. */
  readonly retryBaseMs?: number;
  readonly keys?: Keys;
  readonly logger?: BusLogger;
  readonly metrics?: Registry;
}

export interface TrimOptions {
  /** Acknowledged entries that may stay, for whoever comes late. */
  readonly keep: number;
  /** Share of Redis' maxmemory from which on none of them stay. Without a maxmemory there is no such bound. Default 0.7. */
  readonly keepBelow?: number;
}

export interface RedisStreamsBus extends EventBus {
  /** How far a group is behind. */
  lag(topic: Topic, group: string): Promise<Lag>;
  /** Removes entries that every group has acknowledged, oldest first, while more than `keep` are left. Returns how many went. */
  trimAcknowledged(topic: Topic, options: TrimOptions): Promise<number>;
}

type Options = Required<Omit<RedisStreamsBusOptions, 'metrics'>> & { readonly metrics: BusMetrics };

/** The bus over Redis Streams, 7.0 or later. Its connections are its own and end with `close`. */
export function createRedisStreamsBus(given: RedisStreamsBusOptions): RedisStreamsBus {
  const options: Options = {
    batchSize: 64, blockMs: 2_000, claimIdleMs: 30_000, maxDeliveries: 5, retryBaseMs: 100,
    consumer: hostname(), keys: createKeys(), logger: silentLogger, ...given, metrics: createBusMetrics(given.metrics),
  };
  const control = options.connect('background');
  const open = new Set<Subscription>();
  let closing: Promise<void> | undefined;

  const bus: RedisStreamsBus = {
    publish: (topic, events) => publish(control, options, topic, events),
    async subscribe(topic, subscribeOptions, handle) {
      if (closing) throw new Error('the bus is closed');
      const erased = eraseHandler(topic, handle);
      const started = subscribeOptions.mode === 'broadcast' ? broadcast(control, options, { topic, subscribeOptions, handle: erased }) : consume(control, options, { topic, subscribeOptions, handle: erased });
      let closed: Promise<void> | undefined;
      const subscription: Subscription = { close: () => (closed ??= started.close().finally(() => open.delete(subscription))) };
      open.add(subscription);
      await started.registered;
      return subscription;
    },
    lag: (topic, group) => readLag(control, options.keys.topic(topic.name).stream, group),
    async trimAcknowledged(topic, { keep, keepBelow = 0.7 }) {
      const kept = (await memoryShare(control)) >= keepBelow ? 0 : keep;
      let total = 0;
      for (let removed = -1; removed !== 0; total += removed) removed = Number(await trimAcknowledgedEntries(control, [options.keys.topic(topic.name).stream], [kept]));
      return total;
    },
    close: () => (closing ??= Promise.all([...open].map((subscription) => subscription.close())).then(() => closeRedis(control))),
  };
  return bus;
}

interface Wanted<O> {
  readonly topic: Topic;
  readonly subscribeOptions: O;
  readonly handle: BatchHandler<AnyEvent>;
}

function consume(control: Redis, options: Options, { topic, subscribeOptions, handle }: Wanted<GroupOptions>): { registered: Promise<void>; close(): Promise<void> } {
  const { group } = subscribeOptions;
  const keys = options.keys.topic(topic.name);
  const consumer = takeConsumerName(keys.stream, group, subscribeOptions.consumer ?? options.consumer);
  const reader = createBlockingReader(options.connect('blocking'), control);
  const started = startConsumer({
    topic, handle,
    labels: { topic: topic.name, group },
    log: createRedisGroupLog({ reader, control, keys, group, consumer: consumer.name }),
    ...(subscribeOptions.onGroupCreated ? { onGroupCreated: async () => subscribeOptions.onGroupCreated?.() } : {}),
    batchSize: subscribeOptions.batchSize ?? options.batchSize,
    blockMs: subscribeOptions.blockMs ?? options.blockMs,
    claimIdleMs: options.claimIdleMs, maxDeliveries: options.maxDeliveries, retryBaseMs: options.retryBaseMs,
    logger: options.logger, metrics: options.metrics,
  });
  return { registered: started.registered, close: () => started.close().finally(() => consumer.release()) };
}

function broadcast(control: Redis, options: Options, { topic, subscribeOptions, handle }: Wanted<BroadcastOptions>): { registered: Promise<void>; close(): Promise<void> } {
  return startBroadcast({
    topic, control, handle,
    stream: options.keys.topic(topic.name).stream,
    reader: createBlockingReader(options.connect('blocking'), control),
    onGap: async () => subscribeOptions.onGap?.(),
    batchSize: subscribeOptions.batchSize ?? options.batchSize,
    blockMs: subscribeOptions.blockMs ?? options.blockMs,
    logger: options.logger, metrics: options.metrics,
  });
}

async function publish<T extends Topic>(control: Redis, { keys, metrics }: Options, topic: T, events: readonly NewEventOf<T>[]): Promise<void> {
  if (events.length === 0) return;
  const { stream } = keys.topic(topic.name);
  const pipeline = control.pipeline();
  const cap = topic.options.maxLength === undefined ? [] : ['MAXLEN', '~', topic.options.maxLength];
  for (const event of events) pipeline.xadd(stream, ...cap, '*', ...encodeEvent(topic, event));
  for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
  metrics.published(topic.name, events.length);
}

/** Used memory of maxmemory; 0 where there is no bound. */
async function memoryShare(redis: Redis): Promise<number> {
  const [used, bound] = await infoFields(redis, ['used_memory', 'maxmemory']);
  return Number(bound ?? 0) > 0 ? Number(used ?? 0) / Number(bound) : 0;
}
