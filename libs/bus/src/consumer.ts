import { backoffMs, pause } from './backoff.ts';
import type { BatchHandler } from './bus.ts';
import { decodeEntry } from './codec.ts';
import type { AnyEvent, RawEntry } from './codec.ts';
import { describeError, GroupMissingError, isFinal, isUnavailable } from './errors.ts';
import type { GroupLog } from './group-log.ts';
import type { BusLogger, BusMetrics, GroupLabels } from './metrics.ts';
import { createSingles } from './singles.ts';
import type { Singles } from './singles.ts';
import type { Topic } from './topic.ts';

export interface ConsumerOptions {
  readonly topic: Topic;
  readonly labels: GroupLabels;
  readonly log: GroupLog;
  readonly handle: BatchHandler<AnyEvent>;
  readonly onGroupCreated?: () => Promise<void>;
  readonly batchSize: number;
  readonly blockMs: number;
  readonly claimIdleMs: number;
  readonly maxDeliveries: number;
  readonly retryBaseMs: number;
  readonly logger: BusLogger;
  readonly metrics: BusMetrics;
}

export interface Consumer {
  /** Resolves once the group exists, or once the first try to make it has failed (the consumer goes on trying). */
  readonly registered: Promise<void>;
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
  readonly singles: Singles;
}

/**
 * The policy of a group's consumer, the same for every adapter: a batch is handled, then acknowledged. One that rejects is tried once
 * more as a whole, then its entries one by one, each with its own back-off, so that poison is parked and its neighbours are done.
 * A sink that is unavailable counts as nobody's attempt: the batch waits and is handled again until it comes back.
 */
export function startConsumer(options: ConsumerOptions): Consumer {
  const stopping = new AbortController();
  const ended = new AbortController();
  const base = { options, stop: stopping.signal, inHand: new Set<string>(), handled: { ids: [] } };
  const state: ConsumerState = { ...base, singles: createSingles(base) };
  const firstTry = Promise.withResolvers<undefined>();
  const progress: Progress = { registered: false, recover: true, reading: false, onFirstTry: () => firstTry.resolve(undefined) };

  const interrupt = (): void => {
    if (progress.reading) options.log.interrupt();
  };
  const running = run(state, progress).finally(() => ended.abort());
  const helpers = [heartbeat(state, ended.signal), reclaim(state, interrupt)];
  return {
    registered: firstTry.promise,
    async close() {
      stopping.abort();
      interrupt();
      // Once is not enough: it may fall between the look at the flag and the start of the wait.
      const nudge = setInterval(interrupt, 25);
      await Promise.all([running, ...helpers]).finally(() => clearInterval(nudge));
      await options.log.close();
    },
  };
}

async function run(state: ConsumerState, progress: Progress): Promise<void> {
  const { options, stop } = state;
  for (let failures = 0; !stop.aborted; ) {
    try {
      await step(state, progress);
      failures = 0;
    } catch (error) {
      progress.onFirstTry();
      progress.recover = true;
      failures += 1;
      if (error instanceof GroupMissingError) progress.registered = false;
      if (!stop.aborted && (failures === 1 || failures % 20 === 0)) options.logger.warn({ ...options.labels, failures, error: describeError(error) }, 'bus is not available: trying again');
      if (failures > 1 || progress.registered) await pause(backoffMs(failures, options.retryBaseMs), stop);
    }
  }
  // Where the broker is away these are handled again after the next start.
  await acknowledge(state).catch(() => undefined);
}

async function step(state: ConsumerState, progress: Progress): Promise<void> {
  const { options, stop, singles } = state;
  await acknowledge(state);
  if (!progress.registered) await register(state, progress);
  if (stop.aborted) return;
  if (options.log.takeReconnected()) progress.recover = true;
  if (progress.recover) progress.recover = await singles.addPending();
  await singles.work();
  if (stop.aborted) return;
  const waitMs = singles.untilDueMs(options.blockMs);
  if (singles.isFull()) {
    await pause(waitMs, stop);
    return;
  }
  progress.reading = true;
  // BLOCK 0 would wait for ever.
  const entries = await options.log.read(options.batchSize, Math.max(1, Math.ceil(waitMs))).finally(() => (progress.reading = false));
  if (entries.length > 0) await workBatch(state, entries);
}

interface Progress {
  registered: boolean;
  /** Own pending entries may exist that nobody handles: after a start, a lost connection, a failed step. */
  recover: boolean;
  /** A read may be waiting. */
  reading: boolean;
  /** The group exists, or the first try to make it has failed. */
  onFirstTry(): void;
}

async function register({ options, stop }: ConsumerState, progress: Progress): Promise<void> {
  await options.log.register();
  progress.onFirstTry();
  if (options.onGroupCreated) {
    const read = options.onGroupCreated;
    await options.log.bootstrap(async () => {
      options.logger.info({ ...options.labels }, 'group is new: bootstrapping');
      await read();
      options.logger.info({ ...options.labels }, 'group is bootstrapped');
    }, stop);
  }
  progress.registered = true;
}

/** Acknowledges what was handled; kept for the next step where the broker is away, so that nothing is handled again for that. */
async function acknowledge({ options, handled }: ConsumerState): Promise<void> {
  const ids = handled.ids;
  if (ids.length === 0) return;
  await options.log.ack(ids, false);
  handled.ids = handled.ids.slice(ids.length);
}

async function workBatch(state: ConsumerState, entries: readonly RawEntry[]): Promise<void> {
  const { options, inHand, handled, singles } = state;
  const { metrics, labels } = options;
  const events: AnyEvent[] = [];
  const eventIds: string[] = [];
  for (const { id } of entries) inHand.add(id);
  try {
    for (const entry of entries) {
      const decoded = decodeEntry(options.topic, entry);
      if (decoded.kind === 'event') {
        events.push(decoded.event);
        eventIds.push(entry.id);
      } else if (decoded.kind === 'park') {
        await options.log.park(entry.id, decoded.reason, 1);
        metrics.consumed(labels, 'parked', 1);
        options.logger.error({ ...labels, streamId: entry.id, reason: decoded.reason }, 'entry parked');
      } else {
        handled.ids.push(entry.id);
        if (decoded.kind === 'heartbeat') metrics.fresh(labels, decoded.timestamp);
        metrics.consumed(labels, decoded.kind === 'heartbeat' ? 'heartbeat' : 'skipped', 1);
      }
    }
    const outcome = events.length > 0 ? await handleWhole(state, events) : 'done';
    if (outcome === 'failed') for (const id of eventIds) singles.add(id);
    if (outcome === 'done' && events.length > 0) {
      handled.ids.push(...eventIds);
      metrics.consumed(labels, 'handled', events.length);
      metrics.fresh(labels, events.at(-1)?.meta.timestamp ?? '');
    }
    await acknowledge(state);
  } finally {
    for (const { id } of entries) inHand.delete(id);
  }
}

/** `stopped`: the entries stay pending under this consumer's name, for its next start. */
async function handleWhole({ options, stop }: ConsumerState, events: readonly AnyEvent[]): Promise<'done' | 'failed' | 'stopped'> {
  for (let attempt = 1, rejections = 0; ; attempt += 1) {
    try {
      await options.handle(events);
      return 'done';
    } catch (error) {
      const unavailable = isUnavailable(error);
      if (!unavailable) rejections += 1;
      options.metrics.failed(options.labels, unavailable ? 'unavailable' : 'rejected');
      if (attempt === 1 || attempt % 20 === 0) {
        options.logger.warn({ ...options.labels, events: events.length, attempt, error: describeError(error) }, unavailable ? 'sink is unavailable: waiting' : 'batch rejected');
      }
      // As a whole once more, unless that cannot help: then one by one, where each is judged by itself.
      if (rejections >= 2 || (rejections === 1 && (events.length === 1 || isFinal(error)))) return 'failed';
      await pause(backoffMs(attempt, options.retryBaseMs), stop);
      if (stop.aborted) return 'stopped';
    }
  }
}

/** Keeps what this consumer holds from being reclaimed while a handler takes longer than `claimIdleMs`. */
async function heartbeat({ options, inHand, singles }: ConsumerState, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    await pause(options.claimIdleMs / 3, ended);
    const ids = [...inHand, ...singles.ids()];
    // The loop reports what is wrong with the broker.
    if (ids.length > 0) await options.log.touch(ids).catch(() => undefined);
  }
}

/** Takes over what dead consumers hold, within a second of its being idle for `claimIdleMs`. */
async function reclaim({ options, stop, inHand, singles }: ConsumerState, wake: () => void): Promise<void> {
  const everyMs = Math.min(1_000, Math.max(20, options.claimIdleMs / 2));
  while (!stop.aborted) {
    await pause(everyMs * (0.75 + Math.random() / 4), stop);
    if (stop.aborted || singles.isFull()) continue;
    const { ids, deleted } = await options.log.reclaim(options.claimIdleMs, options.batchSize).catch(() => ({ ids: [], deleted: 0 }));
    if (deleted > 0) {
      options.metrics.consumed(options.labels, 'deleted', deleted);
      options.logger.warn({ ...options.labels, deleted }, 'entries were deleted before they were acknowledged');
    }
    const taken = ids.filter((id) => !inHand.has(id));
    if (taken.length === 0) continue;
    for (const id of taken) singles.add(id);
    options.metrics.reclaimed(options.labels, taken.length);
    options.logger.info({ ...options.labels, entries: taken.length }, 'entries reclaimed');
    wake();
  }
}
