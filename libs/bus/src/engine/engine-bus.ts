import { createSubscriptions } from '../subscriptions.ts';
import type { BatchHandler, BroadcastOptions, GroupOptions } from '../bus.ts';
import { withBusDefaults } from '../bus-options.ts';
import type { BusOptions, FilledBusOptions } from '../bus-options.ts';
import { encodeWireEvent, eraseHandler } from '../codec.ts';
import type { AnyEvent } from '../codec.ts';
import { takeConsumerName } from '../consumer-name.ts';
import type { ManagedBus } from '../managed-bus.ts';
import type { Started } from '../start-reading.ts';
import { PartitionMismatchError } from '../redis/layout.ts';
import { reportLag } from '../report-lag.ts';
import { createRoom } from '../room.ts';
import type { Topic } from '../topic.ts';
import { createEngineAdmin } from './engine-admin.ts';
import { startEngineBroadcast } from './engine-broadcast.ts';
import { startEngineGroup } from './engine-group.ts';
import { createEngineOwner } from './engine-owner.ts';
import type { Engine } from './engine.ts';

export type EngineBus = ManagedBus;

/**
 * A bus over a broker: the policy of every bus, on what the engine knows.
 * @throws PartitionMismatchError where a topic is configured for several partitions
 */
export function createEngineBus(engine: Engine, given: BusOptions): EngineBus {
  const options = withBusDefaults(given);
  for (const [topic, count] of Object.entries(options.partitions))
    if (count > 1) throw new PartitionMismatchError(`BUS_PARTITIONS gives ${topic} ${count} partitions, and a topic on ${engine.broker} has one: leave it out, or use the Redis bus`);
  const subscriptions = createSubscriptions();
  const room = createRoom(options.maxInFlight, options.maxWaiting);

  return {
    ...createEngineOwner(engine, options),
    features: engine.features,
    async publish(topic, events) {
      if (events.length === 0) return;
      const encoded = events.map((event) => encodeWireEvent(topic, event));
      const size = encoded.reduce((sum, { data }) => sum + data.length + 200, 0);
      if (!room.tryEnter(size)) await room.enter(size);
      try {
        await engine.append(topic, encoded);
      } finally {
        room.leave(size);
      }
      options.metrics.published(topic.name, events.length);
    },
    durable: {
      engine: engine.features.engine,
      async append(topic, events, appendOptions) {
        const number = await engine.append(topic, events, appendOptions);
        options.metrics.published(topic.name, events.length);
        return number;
      },
      async lastNumber(topic) {
        const id = await engine.lastId(topic);
        return Number(id.slice(id.lastIndexOf('-') + 1));
      },
    },
    subscribe(topic, subscribeOptions, handle) {
      const erased = eraseHandler(topic, handle);
      const start = (): Started => (subscribeOptions.mode === 'broadcast' ? broadcast(engine, options, { topic, subscribeOptions, handle: erased }) : consume(engine, options, { topic, subscribeOptions, handle: erased }));
      return subscriptions.open(start, subscribeOptions.signal);
    },
    admin: (topics) => createEngineAdmin(engine, topics),
    ping: () => engine.ping(),
    close: () => subscriptions.closeAll(() => engine.close()),
  };
}

interface Wanted<O> {
  readonly topic: Topic;
  readonly subscribeOptions: O;
  readonly handle: BatchHandler<AnyEvent>;
}

function consume(engine: Engine, options: FilledBusOptions, { topic, subscribeOptions, handle }: Wanted<GroupOptions>): Started {
  const { group } = subscribeOptions;
  const { metrics, logger, claimIdleMs, maxDeliveries, retryBaseMs, forgetConsumersMs, leaseMs } = options;
  const consumer = takeConsumerName(topic.name, group, subscribeOptions.consumer ?? options.consumer);
  const started = startEngineGroup({
    engine, topic, group, handle, leaseMs, logger, metrics, consumer: consumer.name,
    onGroupCreated: subscribeOptions.onGroupCreated && (async () => subscribeOptions.onGroupCreated?.()),
    onHeartbeat: (timestamp) => subscribeOptions.onHeartbeat?.(timestamp),
    consumerOptions: {
      ordering: subscribeOptions.ordering ?? 'none', batchSize: subscribeOptions.batchSize ?? options.batchSize, blockMs: subscribeOptions.blockMs ?? options.blockMs,
      claimIdleMs, maxDeliveries, retryBaseMs, forgetConsumersMs,
    },
  });
  const reporter = reportLag({ labels: { topic: topic.name, group }, read: () => engine.lag(topic, group), metrics, logger });
  return {
    registered: started.registered,
    async close() {
      await Promise.all([started.close(), reporter.stop()]).finally(() => consumer.release());
    },
  };
}

const broadcast = (engine: Engine, options: FilledBusOptions, { topic, subscribeOptions, handle }: Wanted<BroadcastOptions>): Started =>
  startEngineBroadcast({
    topic, handle, log: engine.openTail(topic),
    onGap: async () => subscribeOptions.onGap?.(),
    batchSize: subscribeOptions.batchSize ?? options.batchSize,
    blockMs: subscribeOptions.blockMs ?? options.blockMs,
    logger: options.logger, metrics: options.metrics,
  });
