import type { TopicKeys } from '@millrace/redis-kit';
import { startAssignment } from '../assignment.ts';
import type { Lease } from '../assignment.ts';
import { shareBootstrap } from '../share-bootstrap.ts';
import type { BatchHandler } from '../bus.ts';
import type { AnyEvent } from '../codec.ts';
import { startConsumer } from '../consumer.ts';
import type { Consumer, ConsumerOptions } from '../consumer.ts';
import type { BusMetrics } from '../metrics.ts';
import type { Topic } from '../topic.ts';
import type { BlockingReader } from './blocking-reader.ts';
import { followLayout, untilTrue } from './follow-layout.ts';
import type { FollowDeps, Running } from './follow-layout.ts';
import type { Started } from '../start-reading.ts';
import { isSetDrained, isSetOver, keysOf } from './layout.ts';
import type { PartitionSet } from './layout.ts';
import { createRedisGroupLog } from './redis-group-log.ts';
import { createRedisLeaseTable } from './redis-leases.ts';
import { registerGroup } from './scripts/group.ts';

export interface GroupSubscriptionDeps extends FollowDeps {
  readonly topic: Topic;
  readonly group: string;
  readonly consumer: string;
  readonly handle: BatchHandler<AnyEvent>;
  readonly onGroupCreated: (() => Promise<void>) | undefined;
  readonly onHeartbeat: (timestamp: string) => void;
  readonly openReader: (stream: string) => BlockingReader;
  readonly leaseMs: number;
  readonly consumerOptions: Pick<ConsumerOptions, 'ordering' | 'batchSize' | 'blockMs' | 'claimIdleMs' | 'maxDeliveries' | 'retryBaseMs' | 'forgetConsumersMs'>;
  readonly metrics: BusMetrics;
}

/**
 * One consumer of a group on whatever partitions the topic has: the set that is draining first, then the current one. One partition without an
 * order is shared by competing consumers; partitions, and `ordering: 'key'`, are leased.
 */
export const startGroupSubscription = (deps: GroupSubscriptionDeps): Started =>
  followLayout(deps, deps.consumerOptions.retryBaseMs, async ({ current, draining }) => {
    const { control, keys, topic, group } = deps;
    const isBehind = draining !== undefined && !(await isSetDrained(control, keys, topic.name, { set: draining, group }));
    return consumeSet(deps, isBehind ? draining : current);
  });

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
  return {
    registered: consumer.registered,
    ended: untilTrue(isFinished, stopping.signal),
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
    ...consumerOptions, topic, handle, logger, metrics, onHeartbeat: deps.onHeartbeat,
    labels: { topic: topic.name, group },
    log,
    isLeased: lease !== undefined,
    delivery: { signal: lost ?? new AbortController().signal, partition, ...(lease ? { fencingToken: lease.fencingToken } : {}) },
    ...(bootstrap ? { onGroupCreated: bootstrap } : {}),
  });
}
