import { pause } from './backoff.ts';
import type { Consumer } from './consumer.ts';
import { describeError } from './errors.ts';
import type { BusLogger, BusMetrics, GroupLabels } from './metrics.ts';

/** The right to be a group's only consumer of a partition, until it expires or is given back. */
export interface Lease {
  readonly partition: number;
  /** What the lease says; scripts compare it. */
  readonly value: string;
  /** Rises with each holder of the partition's lease. */
  readonly fencingToken: number;
}

/** Who is in the group, and who holds what: what an adapter has to know. */
export interface LeaseTable {
  /** Makes this consumer a member for the lease's time; the members' names, sorted. */
  join(): Promise<readonly string[]>;
  leave(): Promise<void>;
  /** Undefined where another holds it. */
  acquire(partition: number): Promise<Lease | undefined>;
  /** False where it is another's by now, or nobody's. */
  renew(lease: Lease): Promise<boolean>;
  release(lease: Lease): Promise<void>;
}

export interface AssignmentOptions {
  readonly partitions: number;
  readonly table: LeaseTable;
  readonly member: string;
  readonly leaseMs: number;
  /** Starts the consumer of a partition; `lost` is aborted when the lease is not ours any more. */
  readonly consume: (lease: Lease, lost: AbortSignal) => Consumer;
  /** Nothing can come any more and nothing is left: looked at before each round. */
  readonly isFinished: () => Promise<boolean>;
  readonly labels: GroupLabels;
  readonly logger: BusLogger;
  readonly metrics: BusMetrics;
}

export interface Assignment {
  /** Resolves when the partitions are finished, or after `close`. */
  readonly ended: Promise<void>;
  /** Finishes the batches in hand, then gives the partitions back: others have them at their next round. */
  close(): Promise<void>;
}

interface Held {
  readonly lease: Lease;
  readonly consumer: Consumer;
  readonly lost: AbortController;
  /** Tells the handler when the lease has certainly run out, whatever the broker does. */
  expiry: NodeJS.Timeout;
  /** Its consumer is ending; the lease is renewed until it has, unless it is another's already. */
  leaving: Promise<void> | undefined;
}

/** How many of `partitions` the member of this rank should hold: the first ones hold one more where it does not divide evenly. */
export const fairShare = (partitions: number, members: number, rank: number): number => Math.floor(partitions / members) + (rank < partitions % members ? 1 : 0);

/**
 * Shares the partitions of a group among its consumers, without a leader: each round a consumer renews what it holds, gives back what is over
 * its fair share (after finishing what it has in hand), and takes free ones up to it. A consumer that dies loses its leases when they run out.
 */
export function startAssignment(options: AssignmentOptions): Assignment {
  const stopping = new AbortController();
  const running = run(options, stopping.signal);
  return {
    ended: running,
    async close() {
      stopping.abort();
      await running;
    },
  };
}

async function run(options: AssignmentOptions, stop: AbortSignal): Promise<void> {
  const { leaseMs, labels, logger, metrics, table } = options;
  const held = new Map<number, Held>();
  for (let failures = 0, isFinished = false; ; ) {
    const isEnding = stop.aborted || isFinished;
    if (isEnding) for (const one of held.values()) leave(options, held, one);
    if (isEnding && held.size === 0) break;
    try {
      await renewAll(options, held);
      if (!isEnding && !(isFinished = await options.isFinished())) await rebalance(options, held);
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures === 1 || failures % 20 === 0) logger.warn({ ...labels, failures, error: describeError(error) }, 'leases cannot be renewed: trying again');
    }
    metrics.leases(labels, held.size);
    const waitMs = Math.min(1_000, leaseMs / 4) * (0.75 + Math.random() / 4);
    if (isFinished) for (const one of held.values()) leave(options, held, one);
    // The end waits for the consumers, and goes on renewing for them.
    if (stop.aborted || isFinished) await Promise.race([Promise.all([...held.values()].map(async ({ leaving }) => leaving)), pause(waitMs, new AbortController().signal)]);
    else await pause(waitMs, stop);
  }
  metrics.leases(labels, 0);
  await table.leave().catch(() => undefined);
}

async function renewAll(options: AssignmentOptions, held: Map<number, Held>): Promise<void> {
  for (const one of held.values()) {
    if (one.lost.signal.aborted) {
      // Also where it could be renewed after all: its handler was told that it is over.
      leave(options, held, one);
      continue;
    }
    const askedAt = performance.now();
    if (await options.table.renew(one.lease)) {
      clearTimeout(one.expiry);
      one.expiry = expireAt(one.lost, askedAt + options.leaseMs);
    } else {
      options.logger.warn({ ...options.labels, partition: one.lease.partition }, 'lease of the partition was lost');
      one.lost.abort();
      leave(options, held, one);
    }
  }
}

async function rebalance(options: AssignmentOptions, held: Map<number, Held>): Promise<void> {
  const { table, member, partitions } = options;
  const members = await table.join();
  const rank = Math.max(0, members.indexOf(member));
  const share = fairShare(partitions, Math.max(1, members.length), rank);
  const active = [...held.values()].filter(({ leaving }) => leaving === undefined);
  for (const one of active.slice(share)) leave(options, held, one);
  // From different places on, so that they do not all try the same one first.
  for (let step = 0, count = Math.min(active.length, share); step < partitions && count < share; step += 1) {
    const partition = (rank * share + step) % partitions;
    if (!held.has(partition) && (await take(options, held, partition))) count += 1;
  }
}

/** By performance.now(). */
const expireAt = (lost: AbortController, at: number): NodeJS.Timeout => setTimeout(() => lost.abort(), Math.max(0, at - performance.now()));

async function take(options: AssignmentOptions, held: Map<number, Held>, partition: number): Promise<boolean> {
  const askedAt = performance.now();
  const lease = await options.table.acquire(partition);
  if (!lease) return false;
  const lost = new AbortController();
  const one: Held = { lease, lost, consumer: options.consume(lease, lost.signal), expiry: expireAt(lost, askedAt + options.leaseMs), leaving: undefined };
  held.set(partition, one);
  // One that ends by itself was refused: whatever the table says, nobody reads any more.
  void one.consumer.ended.then(() => leave(options, held, one));
  options.logger.info({ ...options.labels, partition, fencingToken: lease.fencingToken }, 'partition taken');
  return true;
}

/** Lets the consumer finish what it has in hand, then gives the lease back. This process takes the partition again only after that. */
function leave(options: AssignmentOptions, held: Map<number, Held>, one: Held): void {
  const end = async (): Promise<void> => {
    await one.consumer.close();
    // Where the broker is away it runs out by itself.
    await options.table.release(one.lease).catch(() => undefined);
    clearTimeout(one.expiry);
    held.delete(one.lease.partition);
    options.logger.info({ ...options.labels, partition: one.lease.partition }, 'partition given back');
  };
  one.leaving ??= end();
}
