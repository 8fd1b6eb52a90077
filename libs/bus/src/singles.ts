import { backoffMs, pause } from './backoff.ts';
import { decodeEntry } from './codec.ts';
import type { ConsumerState } from './consumer.ts';
import { describeError, isFinal, isUnavailable } from './errors.ts';

/** Entries that are handled one by one: left over from an earlier run, taken over from a dead consumer, or of a batch that was rejected. */
export interface Singles {
  add(id: string): void;
  /** Adds what this consumer holds and nobody handles. True where there may be more. */
  addPending(): Promise<boolean>;
  /** Handles each entry that is due. */
  work(): Promise<void>;
  ids(): Iterable<string>;
  untilDueMs(atMost: number): number;
  /** No new batches until some are done: bounds the memory and the pending list. */
  isFull(): boolean;
}

interface Single {
  dueAt: number;
  failures: number;
}

const PAGE = 1_000;

export function createSingles(state: Omit<ConsumerState, 'singles'>): Singles {
  const { options, stop, inHand } = state;
  const waiting = new Map<string, Single>();

  return {
    add: (id) => void (waiting.has(id) || waiting.set(id, { dueAt: 0, failures: 0 })),
    async addPending() {
      const ids = await options.log.pending(PAGE);
      const handled = new Set(state.handled.ids);
      for (const id of ids) if (!inHand.has(id) && !handled.has(id) && !waiting.has(id)) waiting.set(id, { dueAt: 0, failures: 0 });
      return ids.length === PAGE;
    },
    async work() {
      for (const [id, single] of waiting) {
        if (stop.aborted) return;
        if (single.dueAt > Date.now()) continue;
        const outcome = await workSingle(state, id, single);
        if (outcome === 'settled') waiting.delete(id);
        // The others would find the same sink: wait once, not once for each.
        if (outcome === 'unavailable') return pause(backoffMs(single.failures, options.retryBaseMs), stop);
      }
    },
    ids: () => waiting.keys(),
    untilDueMs(atMost) {
      let earliest = Infinity;
      for (const { dueAt } of waiting.values()) earliest = Math.min(earliest, dueAt);
      return Math.min(atMost, Math.max(0, earliest - Date.now()));
    },
    isFull: () => waiting.size >= options.batchSize * 4,
  };
}

type Outcome = 'settled' | 'later' | 'unavailable';

async function workSingle({ options }: Omit<ConsumerState, 'singles'>, id: string, single: Single): Promise<Outcome> {
  const { log, metrics, labels, logger, maxDeliveries } = options;
  const park = async (reason: string, attempts: number): Promise<Outcome> => {
    await log.park(id, reason, attempts);
    metrics.consumed(labels, 'parked', 1);
    logger.error({ ...labels, streamId: id, attempts, reason }, 'entry parked');
    return 'settled';
  };

  const claim = await log.claim(id, maxDeliveries);
  if (claim.kind === 'gone') return 'settled';
  if (claim.kind === 'deleted') {
    metrics.consumed(labels, 'deleted', 1);
    logger.warn({ ...labels, streamId: id }, 'entry was deleted before it was acknowledged');
    return 'settled';
  }
  if (claim.kind === 'exhausted') return park(`handled ${claim.attempts} times without an end: its consumer died each time`, claim.attempts);

  metrics.redelivered(labels, 1);
  const decoded = decodeEntry(options.topic, claim.entry);
  if (decoded.kind === 'park') return park(decoded.reason, claim.attempts);
  if (decoded.kind === 'event') {
    try {
      await options.handle([decoded.event]);
    } catch (error) {
      single.failures += 1;
      const unavailable = isUnavailable(error);
      metrics.failed(labels, unavailable ? 'unavailable' : 'rejected');
      if (unavailable) {
        await log.release(id, claim.attempts - 1);
        return 'unavailable';
      }
      if (claim.attempts >= maxDeliveries || isFinal(error)) return park(describeError(error), claim.attempts);
      logger.warn({ ...labels, streamId: id, attempts: claim.attempts, error: describeError(error) }, 'entry rejected');
      single.dueAt = Date.now() + backoffMs(single.failures, options.retryBaseMs);
      return 'later';
    }
  }
  await log.ack([id], true);
  metrics.consumed(labels, decoded.kind === 'event' ? 'handled' : decoded.kind === 'heartbeat' ? 'heartbeat' : 'skipped', 1);
  return 'settled';
}
