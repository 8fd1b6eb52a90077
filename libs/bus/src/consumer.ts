import { backoffMs, pause } from './backoff.ts';
import { workBatch } from './batch.ts';
import type { BatchHandler, Delivery, Ordering } from './bus.ts';
import type { AnyEvent, RawEntry } from './codec.ts';
import { describeError, GroupMissingError, LeaseLostError, shownReason } from './errors.ts';
import type { BootstrapNeed, GroupLog } from './group-log.ts';
import { createLanes } from './lanes.ts';
import type { BusLogger, BusMetrics, GroupLabels } from './metrics.ts';
import type { Retries } from './retries.ts';
import { createSingles } from './singles.ts';
import type { Topic } from './topic.ts';

export interface ConsumerOptions {
  readonly topic: Topic;
  readonly labels: GroupLabels;
  readonly log: GroupLog;
  readonly handle: BatchHandler<AnyEvent>;
  readonly onGroupCreated?: (need: BootstrapNeed) => Promise<void>;
  readonly onHeartbeat?: (timestamp: string) => void;
  readonly ordering: Ordering;
  /** This consumer is the group's only one on its stream. */
  readonly isLeased: boolean;
  readonly delivery: Delivery;
  readonly batchSize: number;
  readonly blockMs: number;
  readonly claimIdleMs: number;
  readonly maxDeliveries: number;
  readonly retryBaseMs: number;
  /** Consumers of the group that hold nothing and were not seen for so long are forgotten. */
  readonly forgetConsumersMs: number;
  readonly logger: BusLogger;
  readonly metrics: BusMetrics;
}

export interface Consumer {
  /** Resolves once the group exists, or once the first try to make it has failed (the consumer goes on trying). */
  readonly registered: Promise<void>;
  /** Resolves when it has ended: closed, or its lease is another's. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

/** What the parts of one consumer share. */
export interface ConsumerState {
  readonly options: ConsumerOptions;
  readonly stop: AbortSignal;
  /** Entries that are being handled as a batch: kept by the heartbeat. */
  readonly inHand: Set<string>;
  /** Handled, but the acknowledgement has not gone through. */
  readonly handled: { ids: string[] };
  readonly retries: Retries;
  /** Acknowledges what was handled; kept for the next step where the broker is away, so that nothing is handled again for that. */
  acknowledge(): Promise<void>;
  /** Moves an entry to the dead letters. */
  park(id: string, reason: string, attempts: number): Promise<void>;
  /** Entries that went before they were acknowledged. */
  countDeleted(count: number): void;
}

interface Progress {
  registered: boolean;
  /** Pending entries may exist that nobody handles: after a start, a lost connection, a failed step. */
  recover: boolean;
  /** A read may be waiting. */
  reading: boolean;
  /** The next batch, asked for while this one is handled. */
  ahead: Promise<readonly RawEntry[]> | undefined;
  /** The group exists, or the first try to make it has failed. */
  onFirstTry(): void;
}

/**
 * The policy of a group's consumer, the same for every adapter: a batch is handled, then acknowledged. One that rejects is tried once
 * more as a whole, then its entries one by one (retries.ts), each with its own back-off, so that poison is parked and its neighbours are done.
 * A sink that is unavailable counts as nobody's attempt: the batch waits and is handled again until it comes back.
 */
export function startConsumer(options: ConsumerOptions): Consumer {
  const stopping = new AbortController();
  const ended = new AbortController();
  const state = createState(options, stopping.signal);
  const firstTry = Promise.withResolvers<undefined>();
  const progress: Progress = { registered: false, recover: true, reading: false, ahead: undefined, onFirstTry: () => firstTry.resolve(undefined) };

  const interrupt = (): void => {
    if (progress.reading) options.log.interrupt();
  };
  const running = run(state, progress, () => stopping.abort()).finally(() => ended.abort());
  const helpers = [heartbeat(state, ended.signal), watch(state, progress)];
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    stopping.abort();
    interrupt();
    // Once is not enough: it may fall between the look at the flag and the start of the wait.
    const nudge = setInterval(interrupt, 25);
    await Promise.all([running, ...helpers]).finally(() => clearInterval(nudge));
    await options.log.close();
  };
  return { registered: firstTry.promise, ended: running, close: () => (closing ??= close()) };
}

function createState(options: ConsumerOptions, stop: AbortSignal): ConsumerState {
  const { metrics, labels, logger, log } = options;
  const handled: { ids: string[] } = { ids: [] };
  const base = {
    options, stop, handled, inHand: new Set<string>(),
    async acknowledge() {
      const { ids } = handled;
      if (ids.length === 0) return;
      await log.ack(ids, false);
      handled.ids = handled.ids.slice(ids.length);
    },
    async park(id: string, reason: string, attempts: number) {
      const dropped = await log.park(id, reason, attempts);
      if (dropped === undefined) return;
      metrics.consumed(labels, 'parked', 1);
      metrics.deadLettered(labels, 1, dropped);
      logger.error({ ...labels, streamId: id, attempts, reason: shownReason(options.topic, reason) }, 'entry parked');
      if (dropped > 0) logger.error({ ...labels, dropped }, 'dead letters are full: the oldest were dropped');
    },
    countDeleted(count: number) {
      metrics.consumed(labels, 'deleted', count);
      logger.warn({ ...labels, deleted: count }, 'entries were deleted before they were acknowledged');
    },
  };
  return { ...base, retries: options.ordering === 'none' ? createSingles(base) : createLanes(base) };
}

async function run(state: ConsumerState, progress: Progress, giveUp: () => void): Promise<void> {
  const { options, stop } = state;
  for (let failures = 0; !stop.aborted; ) {
    try {
      await step(state, progress);
      failures = 0;
    } catch (error) {
      progress.onFirstTry();
      await leaveAhead(state, progress);
      if (error instanceof LeaseLostError) {
        giveUp();
        return;
      }
      progress.recover = true;
      failures += 1;
      if (error instanceof GroupMissingError) progress.registered = false;
      if (!stop.aborted && (failures === 1 || failures % 20 === 0)) options.logger.warn({ ...options.labels, failures, error: describeError(error) }, 'bus is not available: trying again');
      if (failures > 1 || progress.registered) await pause(backoffMs(failures, options.retryBaseMs), stop);
    }
  }
  progress.onFirstTry();
  // What was read ahead is not left to the next start.
  if (progress.ahead) await takeAhead(state, progress).catch(() => undefined);
  // Where the broker is away these are handled again after the next start.
  await state.acknowledge().catch(() => undefined);
}

async function step(state: ConsumerState, progress: Progress): Promise<void> {
  const { options, stop, retries } = state;
  await state.acknowledge();
  if (!progress.registered) await register(state, progress);
  if (stop.aborted) return;
  if (options.log.takeReconnected()) progress.recover = true;
  if (progress.recover) {
    await leaveAhead(state, progress);
    await retries.recover();
  }
  progress.recover = false;
  await retries.work();
  if (stop.aborted) return;
  if (progress.ahead) return takeAhead(state, progress);
  const waitMs = retries.untilDueMs(options.blockMs);
  if (retries.isFull()) {
    // What is due may be nobody's to wait for: look again soon.
    await pause(Math.max(waitMs, 5), stop);
    return;
  }
  await handleBatch(state, progress, await readBatch(state, progress, waitMs));
}

/** What is read is in hand at once: nobody else may think that it is forgotten. */
async function readBatch({ options, inHand }: ConsumerState, progress: Progress, waitMs: number): Promise<readonly RawEntry[]> {
  progress.reading = true;
  try {
    // BLOCK 0 would wait for ever.
    const entries = await options.log.read(options.batchSize, Math.max(1, Math.ceil(waitMs)));
    for (const { id } of entries) inHand.add(id);
    return entries;
  } finally {
    progress.reading = false;
  }
}

/** A full batch has another one behind it: while nothing waits for a retry, that is on its way while this one is handled. */
async function handleBatch(state: ConsumerState, progress: Progress, entries: readonly RawEntry[]): Promise<void> {
  const { options, stop, retries } = state;
  if (entries.length === 0) return;
  if (entries.length === options.batchSize && !stop.aborted && retries.isIdle()) {
    // It does not wait: where nothing is there, the next step does, for as long as it may.
    progress.ahead = readBatch(state, progress, 1);
    // Looked at in the next step.
    progress.ahead.catch(() => undefined);
  }
  await workBatch(state, entries);
}

async function takeAhead(state: ConsumerState, progress: Progress): Promise<void> {
  const ahead = progress.ahead;
  progress.ahead = undefined;
  await handleBatch(state, progress, (await ahead) ?? []);
}

/** After a failure everything that is pending is handled in its order, from the pending list: also what was read ahead. */
async function leaveAhead({ inHand }: ConsumerState, progress: Progress): Promise<void> {
  const entries = await progress.ahead?.catch(() => []);
  progress.ahead = undefined;
  for (const { id } of entries ?? []) inHand.delete(id);
}

async function register({ options, stop }: ConsumerState, progress: Progress): Promise<void> {
  await options.log.register();
  progress.onFirstTry();
  if (options.onGroupCreated) {
    const read = options.onGroupCreated;
    await options.log.bootstrap(async (need) => {
      options.logger.info({ ...options.labels }, 'group is new or was passed over: bootstrapping');
      await read(need);
      options.logger.info({ ...options.labels }, 'group is bootstrapped');
    }, stop);
  }
  progress.registered = true;
}

/** Keeps what this consumer holds from being reclaimed while a handler takes longer than `claimIdleMs`. With an order nobody reclaims: a lease says it all. */
async function heartbeat({ options, inHand, retries }: ConsumerState, ended: AbortSignal): Promise<void> {
  while (!ended.aborted && options.ordering === 'none') {
    await pause(options.claimIdleMs / 3, ended);
    const ids = [...inHand, ...retries.ids()];
    // The loop reports what is wrong with the broker.
    if (ids.length > 0) await options.log.touch(ids).catch(() => undefined);
  }
}

/** About every second: takes over what dead consumers hold and what is due, and sees whether the group was passed over. */
async function watch(state: ConsumerState, progress: Progress): Promise<void> {
  const { options, stop } = state;
  const wake = (): void => {
    if (progress.reading) options.log.wake();
  };
  const everyMs = Math.min(1_000, Math.max(20, options.claimIdleMs / 2));
  let forgetAt = Date.now() + options.forgetConsumersMs;
  while (!stop.aborted) {
    await pause(everyMs * (0.75 + Math.random() / 4), stop);
    if (stop.aborted || !progress.registered) continue;
    try {
      if (options.ordering === 'none' && (await reclaim(state)) > 0) wake();
      if (options.onGroupCreated && (await options.log.needsBootstrap())) {
        progress.registered = false;
        wake();
      }
      if (Date.now() >= forgetAt) {
        forgetAt = Date.now() + options.forgetConsumersMs;
        await options.log.removeIdleConsumers(options.forgetConsumersMs);
      }
    } catch {
      // The loop reports what is wrong with the broker.
    }
  }
}

async function reclaim(state: ConsumerState): Promise<number> {
  const { options, inHand, retries } = state;
  let total = 0;
  for (let isMore = true; isMore && !retries.isFull(); ) {
    const { ids, deleted } = await options.log.reclaim(options.claimIdleMs, options.batchSize);
    if (deleted > 0) state.countDeleted(deleted);
    const taken = ids.filter((id) => !inHand.has(id));
    isMore = taken.length > 0;
    retries.addTaken(taken);
    total += taken.length;
  }
  if (total === 0) return 0;
  options.metrics.reclaimed(options.labels, total);
  options.logger.info({ ...options.labels, entries: total }, 'entries reclaimed');
  return total;
}
