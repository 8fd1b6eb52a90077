import { startAssignment } from '../assignment.ts';
import { backoffMs, pause } from '../backoff.ts';
import type { BatchHandler } from '../bus.ts';
import type { AnyEvent } from '../codec.ts';
import { startConsumer } from '../consumer.ts';
import type { Consumer, ConsumerOptions } from '../consumer.ts';
import { describeError } from '../errors.ts';
import type { BusLogger, BusMetrics } from '../metrics.ts';
import type { Started } from '../start-reading.ts';
import { shareBootstrap } from '../share-bootstrap.ts';
import type { Topic } from '../topic.ts';
import { BusSetupError } from './engine.ts';
import type { Engine } from './engine.ts';

export interface EngineGroupOptions {
  readonly engine: Engine;
  readonly topic: Topic;
  readonly group: string;
  readonly consumer: string;
  readonly handle: BatchHandler<AnyEvent>;
  readonly onGroupCreated: (() => Promise<void>) | undefined;
  readonly onHeartbeat: (timestamp: string) => void;
  readonly leaseMs: number;
  readonly consumerOptions: Pick<ConsumerOptions, 'ordering' | 'batchSize' | 'blockMs' | 'claimIdleMs' | 'maxDeliveries' | 'retryBaseMs' | 'forgetConsumersMs'>;
  readonly logger: BusLogger;
  readonly metrics: BusMetrics;
}

interface Running {
  readonly registered: Promise<void>;
  close(): Promise<void>;
}

/** One consumer of a group: those without an order compete, of those with one a single one works and the others stand by. */
export function startEngineGroup(options: EngineGroupOptions): Started {
  const stopping = new AbortController();
  const firstTry = Promise.withResolvers<void>();
  // Whoever subscribes looks at it; a failure after the first try is logged.
  firstTry.promise.catch(() => undefined);
  const running = run(options, stopping.signal, firstTry);
  return {
    registered: firstTry.promise,
    async close() {
      stopping.abort();
      await running;
    },
  };
}

async function run(options: EngineGroupOptions, stop: AbortSignal, firstTry: PromiseWithResolvers<void>): Promise<void> {
  const { engine, topic, group, logger, consumerOptions, onGroupCreated } = options;
  const stopped = new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }));
  for (let failures = 0; !stop.aborted; ) {
    try {
      // Before it is leased: whoever waits for a lease counts as behind, and keeps entries from being trimmed.
      await engine.register(topic, group, onGroupCreated !== undefined);
      const running = consumerOptions.ordering === 'none' ? compete(options) : standBy(options);
      void running.registered.then(() => firstTry.resolve());
      await stopped;
      await running.close();
    } catch (error) {
      failures += 1;
      if (error instanceof BusSetupError) firstTry.reject(error);
      firstTry.resolve();
      if (failures === 1 || failures % 20 === 0) logger.warn({ topic: topic.name, group, failures, error: describeError(error) }, 'bus is not available: trying again');
      await pause(backoffMs(failures, consumerOptions.retryBaseMs), stop);
    }
  }
  firstTry.resolve();
}

const compete = (options: EngineGroupOptions): Running => start(options, new AbortController().signal, undefined);

function standBy(options: EngineGroupOptions): Running {
  const { engine, topic, group, consumer, leaseMs, logger, metrics } = options;
  const assignment = startAssignment({
    partitions: 1, member: consumer, leaseMs, table: engine.openLeases({ topic, group, member: consumer, leaseMs }), isFinished: async () => false,
    consume: (lease, lost) => start(options, lost, lease.fencingToken),
    labels: { topic: topic.name, group }, logger, metrics,
  });
  return { registered: Promise.resolve(), close: () => assignment.close() };
}

function start(options: EngineGroupOptions, signal: AbortSignal, fencingToken: number | undefined): Consumer {
  const { engine, topic, group, consumer, consumerOptions, handle, onGroupCreated, onHeartbeat, logger, metrics } = options;
  return startConsumer({
    ...consumerOptions, topic, handle, logger, metrics, onHeartbeat,
    labels: { topic: topic.name, group },
    log: engine.openLog({ topic, group, consumer, canBootstrap: onGroupCreated !== undefined, claimIdleMs: consumerOptions.claimIdleMs, fencingToken }),
    isLeased: fencingToken !== undefined,
    delivery: { signal, partition: 0, ...(fencingToken !== undefined && { fencingToken }) },
    ...(onGroupCreated && { onGroupCreated: shareBootstrap(onGroupCreated) }),
  });
}
