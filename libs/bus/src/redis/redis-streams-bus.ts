import { closeRedis, createKeys, whenReady } from '@millrace/redis-kit';
import type { Keys, RedisRole } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createRedisBusAdmin } from '../admin/redis-bus-admin.ts';
import { createSubscriptions } from '../subscriptions.ts';
import type { BatchHandler, BroadcastOptions, GroupOptions } from '../bus.ts';
import { withBusDefaults } from '../bus-options.ts';
import type { BusOptions, FilledBusOptions } from '../bus-options.ts';
import { eraseHandler } from '../codec.ts';
import type { AnyEvent } from '../codec.ts';
import { SinkUnavailableError } from '../errors.ts';
import type { EngineFeatures, ManagedBus } from '../managed-bus.ts';
import type { Topic } from '../topic.ts';
import { createBlockingReader } from './blocking-reader.ts';
import { startBroadcastSubscription } from './broadcast-subscription.ts';
import { takeConsumerName } from '../consumer-name.ts';
import { createRedisPositions } from './ends.ts';
import { eraseDeadLetters, eraseEntries } from './erase-entries.ts';
import { startGroupSubscription } from './group-subscription.ts';
import type { Started } from '../start-reading.ts';
import { probeOnce } from './features.ts';
import type { ServerFeatures } from './features.ts';
import { readGroupLag } from './lag.ts';
import type { GroupLag } from './lag.ts';
import { reportLag } from '../report-lag.ts';
import { createPublisher } from './publisher.ts';
import { trimTopic } from './trim.ts';

export interface RedisStreamsBusOptions extends BusOptions {
  /** A new connection of redis-kit: 'blocking' for each subscription's reader, 'background' for everything else. */
  readonly connect: (role: RedisRole) => Redis;
  readonly keys?: Keys;
}

export type RedisStreamsBus = ManagedBus;

type Options = FilledBusOptions & Pick<RedisStreamsBusOptions, 'connect'> & { readonly keys: Keys; readonly probe: () => Promise<ServerFeatures> };

const REDIS_FEATURES: EngineFeatures = { engine: 'redis', partitions: true, ownAtRestart: true, atomicPark: true, atomicContext: true, memoryPressure: true };

const PING_MS = 1_000;

async function answersWithin(ms: number, answer: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new SinkUnavailableError(`Redis did not answer within ${ms} ms`)), ms);
  await Promise.race([answer, late.promise]).finally(() => clearTimeout(timer));
}

/** The bus over Redis Streams, 7.0 or later. Its connections are its own and end with `close`. */
export function createRedisStreamsBus(given: RedisStreamsBusOptions): RedisStreamsBus {
  const control = given.connect('background');
  const filled = withBusDefaults(given);
  const options: Options = { keys: createKeys(), ...filled, probe: probeOnce(control, filled.logger) };
  const { keys, metrics, logger } = options;
  const subscriptions = createSubscriptions();
  const publisher = createPublisher({ control, keys, metrics, maxInFlight: options.maxInFlight, maxWaiting: options.maxWaiting, partitionsOf: (topic) => options.partitions[topic] });

  return {
    publish: (topic, events) => publisher.publish(topic, events),
    subscribe(topic, subscribeOptions, handle) {
      const erased = eraseHandler(topic, handle);
      const start = (): Started => (subscribeOptions.mode === 'broadcast' ? broadcast(control, options, { topic, subscribeOptions, handle: erased }) : consume(control, options, { topic, subscribeOptions, handle: erased }));
      return subscriptions.open(start, subscribeOptions.signal);
    },
    lag: (topic, group) => groupLag(control, options, topic.name, group),
    ...createRedisPositions(control, keys),
    features: REDIS_FEATURES,
    durable: undefined,
    eraseEntries: (eraseOptions) => eraseEntries(control, keys, eraseOptions),
    eraseDeadLetters: (eraseOptions) => eraseDeadLetters(control, keys, eraseOptions),
    admin: (topics) => createRedisBusAdmin({ redis: control, keys, topics }),
    async ping() {
      await whenReady(control, PING_MS);
      await answersWithin(PING_MS, control.ping());
    },
    trimAcknowledged: (topic, trimOptions) => trimTopic({ control, keys, logger, metrics }, topic, trimOptions),
    close: () => subscriptions.closeAll(() => closeRedis(control)),
  };
}

/** With the server's own number where that is right. */
const groupLag = async (control: Redis, { keys, probe }: Options, topic: string, group: string): Promise<GroupLag> =>
  readGroupLag(control, keys, { topic, group, hasExactLag: (await probe()).hasExactLag });

interface Wanted<O> {
  readonly topic: Topic;
  readonly subscribeOptions: O;
  readonly handle: BatchHandler<AnyEvent>;
}

function consume(control: Redis, options: Options, { topic, subscribeOptions, handle }: Wanted<GroupOptions>): Started {
  const { group } = subscribeOptions;
  const { keys, metrics, logger, claimIdleMs, maxDeliveries, retryBaseMs, forgetConsumersMs, leaseMs } = options;
  const consumer = takeConsumerName(topic.name, group, subscribeOptions.consumer ?? options.consumer);
  const started = startGroupSubscription({
    topic, group, handle, control, keys, leaseMs, logger, metrics, probe: options.probe,
    consumer: consumer.name,
    onGroupCreated: subscribeOptions.onGroupCreated && (async () => subscribeOptions.onGroupCreated?.()),
    openReader: (stream) => createBlockingReader({ redis: options.connect('blocking'), control, stream }),
    partitions: options.partitions[topic.name],
    onHeartbeat: (timestamp) => subscribeOptions.onHeartbeat?.(timestamp),
    consumerOptions: {
      ordering: subscribeOptions.ordering ?? 'none', batchSize: subscribeOptions.batchSize ?? options.batchSize, blockMs: subscribeOptions.blockMs ?? options.blockMs,
      claimIdleMs, maxDeliveries, retryBaseMs, forgetConsumersMs,
    },
  });
  const reporter = reportLag({ labels: { topic: topic.name, group }, read: () => groupLag(control, options, topic.name, group), metrics, logger });
  return {
    registered: started.registered,
    async close() {
      await Promise.all([started.close(), reporter.stop()]).finally(() => consumer.release());
    },
  };
}

function broadcast(control: Redis, options: Options, { topic, subscribeOptions, handle }: Wanted<BroadcastOptions>): Started {
  return startBroadcastSubscription({
    topic, control, handle, keys: options.keys, partitions: options.partitions[topic.name], probe: options.probe,
    openReader: (stream) => createBlockingReader({ redis: options.connect('blocking'), control, stream }),
    onGap: async () => subscribeOptions.onGap?.(),
    batchSize: subscribeOptions.batchSize ?? options.batchSize,
    blockMs: subscribeOptions.blockMs ?? options.blockMs,
    logger: options.logger, metrics: options.metrics,
  });
}
