import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import { startAssignment } from '../assignment.ts';
import type { Lease } from '../assignment.ts';
import { backoffMs, pause } from '../backoff.ts';
import { shareBootstrap } from '../bootstrap-once.ts';
import type { BatchHandler } from '../bus.ts';
import type { AnyEvent } from '../codec.ts';
import { startConsumer } from '../consumer.ts';
import type { Consumer, ConsumerOptions } from '../consumer.ts';
import { describeError } from '../errors.ts';
import type { BusLogger, BusMetrics } from '../metrics.ts';
import type { Topic } from '../topic.ts';
import type { BlockingReader } from './blocking-reader.ts';
import { UnsupportedServerError } from './features.ts';
import type { ServerFeatures } from './features.ts';
import { isSetDrained, isSetOver, keysOf, PartitionMismatchError, readLayout } from './layout.ts';
import type { PartitionSet } from './layout.ts';
import { createRedisGroupLog } from './redis-group-log.ts';
import { createRedisLeaseTable } from './redis-leases.ts';
import { registerGroup } from './scripts/group.ts';

export interface GroupSubscriptionDeps {
  readonly topic: Topic;
  readonly group: string;
  readonly consumer: string;
  readonly handle: BatchHandler<AnyEvent>;
  readonly onGroupCreated: (() => Promise<void>) | undefined;
  readonly control: Redis;
  readonly openReader: (stream: string) => BlockingReader;
  readonly keys: Keys;
  /** As configured; undefined: whatever the topic has. */
  readonly partitions: number | undefined;
  readonly leaseMs: number;
  /** Rejects with UnsupportedServerError where the server is too old. */
  readonly probe: () => Promise<ServerFeatures>;
  readonly consumerOptions: Pick<ConsumerOptions, 'ordering' | 'batchSize' | 'blockMs' | 'claimIdleMs' | 'maxDeliveries' | 'retryBaseMs' | 'forgetConsumersMs'>;
  readonly logger: BusLogger;
  readonly metrics: BusMetrics;
}

export interface Started {
  /** Resolves once the group exists or the first try to make it has failed; rejects where the configuration is wrong. */
  readonly registered: Promise<void>;
  close(): Promise<void>;
}

/** Whatever consumes one set of partitions until nothing can come any more. */
interface Running {
  readonly registered: Promise<void>;
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

const LOOK_EVERY_MS = 1_000;

/**
 * One consumer of a group on whatever partitions the topic has: the set that is draining first, then the current one. One partition without an
 * order is shared by competing consumers; partitions, and `ordering: 'key'`, are leased.
 */
export function startGroupSubscription(deps: GroupSubscriptionDeps): Started {
  const stopping = new AbortController();
  const firstTry = Promise.withResolvers<void>();
  // Whoever subscribes looks at it; a failure after the first try is logged.
  firstTry.promise.catch(() => undefined);
  const running = follow(deps, stopping.signal, firstTry);
  return {
    registered: firstTry.promise,
    async close() {
      stopping.abort();
      await running;
    },
  };
}

async function follow(deps: GroupSubscriptionDeps, stop: AbortSignal, firstTry: PromiseWithResolvers<void>): Promise<void> {
  const { control, keys, topic, group, logger } = deps;
  // Looked at when the service starts: a running one goes along with a repartitioning.
  let wanted = deps.partitions;
  for (let failures = 0; !stop.aborted; ) {
    try {
      await deps.probe();
      const layout = await readLayout(control, keys, topic.name, wanted);
      wanted = undefined;
      const isBehind = layout.draining !== undefined && !(await isSetDrained(control, keys, topic.name, { set: layout.draining, group }));
      const running = await consumeSet(deps, isBehind && layout.draining ? layout.draining : layout.current);
      failures = 0;
      void running.registered.then(() => firstTry.resolve());
      const stopped = new Promise<void>((resolve) => (stop.aborted ? resolve() : stop.addEventListener('abort', () => resolve(), { once: true })));
      await Promise.race([running.ended, stopped]);
      await running.close();
    } catch (error) {
      failures += 1;
      if (error instanceof PartitionMismatchError || error instanceof UnsupportedServerError) firstTry.reject(error);
      firstTry.resolve();
      if (failures === 1 || failures % 20 === 0) logger.warn({ topic: topic.name, group, failures, error: describeError(error) }, 'bus is not available: trying again');
      await pause(backoffMs(failures, deps.consumerOptions.retryBaseMs), stop);
    }
  }
  firstTry.resolve();
}

async function consumeSet(deps: GroupSubscriptionDeps, set: PartitionSet): Promise<Running> {
  const { control, topic, group, consumer, keys, consumerOptions } = deps;
  const partitions = keysOf(keys, topic.name, set);
  const bootstrap = deps.onGroupCreated && shareBootstrap(deps.onGroupCreated);
  const isFinished = (): Promise<boolean> => isSetOver(control, keys, topic.name, { set, group });
  const [only] = partitions;
  const start = (of: TopicKeys, partition: number, lease?: { readonly lease: Lease; readonly lost: AbortSignal }): Consumer =>
    startPartition(deps, { of, partition: set.first + partition, bootstrap, ...lease });
  if (consumerOptions.ordering === 'none' && only && partitions.length === 1) return compete(start(only, 0), isFinished);

  // Before any of them is leased: whoever waits for a lease counts as behind, and keeps entries from being trimmed.
  for (const of of partitions) await registerGroup(control, [of.stream, of.bootstrapped(group), of.delayed(group), of.layout], [group, bootstrap ? 1 : 0]);
  const table = createRedisLeaseTable({ control, partitions, group, member: consumer, leaseMs: deps.leaseMs });
  const assignment = startAssignment({
    partitions: partitions.length, table, member: consumer, leaseMs: deps.leaseMs, isFinished,
    consume(lease, lost) {
      const of = partitions[lease.partition];
      if (!of) throw new RangeError(`there is no partition ${lease.partition}`);
      return start(of, lease.partition, { lease, lost });
    },
    labels: { topic: topic.name, group }, logger: deps.logger, metrics: deps.metrics,
  });
  return { registered: Promise.resolve(), ended: assignment.ended, close: () => assignment.close() };
}

/** The group's consumers share one stream; each looks now and then whether it was closed and is done. */
function compete(consumer: Consumer, isFinished: () => Promise<boolean>): Running {
  const stopping = new AbortController();
  const watch = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await pause(LOOK_EVERY_MS, stopping.signal);
      // The consumer reports what is wrong with the broker.
      if (!stopping.signal.aborted && (await isFinished().catch(() => false))) return;
    }
  };
  return {
    registered: consumer.registered,
    ended: watch(),
    async close() {
      stopping.abort();
      await consumer.close();
    },
  };
}

interface PartitionToStart {
  readonly of: TopicKeys;
  readonly partition: number;
  readonly bootstrap: ReturnType<typeof shareBootstrap> | undefined;
  readonly lease?: Lease;
  readonly lost?: AbortSignal;
}

function startPartition(deps: GroupSubscriptionDeps, { of, partition, bootstrap, lease, lost }: PartitionToStart): Consumer {
  const { topic, group, consumer, control, handle, consumerOptions, logger, metrics } = deps;
  const log = createRedisGroupLog({
    reader: deps.openReader(of.stream), control, keys: of, group, consumer, canBootstrap: bootstrap !== undefined,
    ...(lease ? { lease: lease.value } : {}),
  });
  return startConsumer({
    ...consumerOptions, topic, handle, logger, metrics,
    labels: { topic: topic.name, group },
    log,
    isLeased: lease !== undefined,
    delivery: { signal: lost ?? new AbortController().signal, partition, ...(lease ? { fencingToken: lease.fencingToken } : {}) },
    ...(bootstrap ? { onGroupCreated: bootstrap } : {}),
  });
}
