import { decodeEntry } from './codec.ts';
import type { AnyEvent } from './codec.ts';
import type { ConsumerState } from './consumer.ts';
import { describeError, isFinal, isUnavailable, PartialFailureError, shownReason } from './errors.ts';

/** An event of the topic, with what the policy needs of its entry. */
export interface Received {
  readonly id: string;
  readonly key: string;
  readonly event: AnyEvent;
}

/**
 * Entries that are handled one by one: left over from an earlier run, taken over from another consumer, or of a batch that was rejected.
 * Two policies: singles.ts (`ordering: 'none'`) and lanes.ts (`'key'`).
 */
export interface Retries {
  /** Of a batch that was rejected, in their order. */
  add(rejected: readonly Received[]): Promise<void>;
  /** Handled by themselves already, and failed. */
  addFailed(failed: readonly Received[], error: unknown): Promise<void>;
  /** Taken over from a consumer that is gone; not for leased streams. */
  addTaken(ids: readonly string[]): void;
  /** Those events of a new batch that may be handled with it; the others are kept for later. */
  admit(received: readonly Received[]): Promise<readonly Received[]>;
  /** Adds what is pending and nobody handles. */
  recover(): Promise<void>;
  /** Handles whatever is due. */
  work(): Promise<void>;
  /** What this consumer holds for it. */
  ids(): Iterable<string>;
  untilDueMs(atMost: number): number;
  /** Nothing is held. */
  isIdle(): boolean;
  /** No new batches until some are done: bounds the memory and the pending list. */
  isFull(): boolean;
}

export type SingleOutcome =
  | { readonly kind: 'settled' }
  /** Says nothing about the entry. The others would find the same sink: wait before the next one. `isAlone`: the handler says that they need not. */
  | { readonly kind: 'unavailable'; readonly isAlone: boolean }
  | { readonly kind: 'failed'; readonly attempts: number; readonly error: unknown };

/** One counted handling of one entry (I6): a crash in it counts against this entry only. Parks what has failed for the last time. */
export async function handleSingle(state: Omit<ConsumerState, 'retries'>, id: string): Promise<SingleOutcome> {
  const { options } = state;
  const { log, metrics, labels, logger, maxDeliveries } = options;
  const claim = await log.claim(id, maxDeliveries);
  if (claim.kind === 'gone') return { kind: 'settled' };
  if (claim.kind === 'deleted') {
    state.countDeleted(1);
    return { kind: 'settled' };
  }
  const park = async (reason: string): Promise<SingleOutcome> => {
    await state.park(id, reason, claim.attempts);
    return { kind: 'settled' };
  };
  if (claim.kind === 'exhausted') return park(`handled ${claim.attempts} times without an end: its consumer died each time`);

  metrics.redelivered(labels, 1);
  const decoded = decodeEntry(options.topic, claim.entry);
  if (decoded.kind === 'park') return park(decoded.reason);
  if (decoded.kind === 'event') {
    try {
      await options.handle([decoded.event], options.delivery);
    } catch (thrown) {
      const error = thrown instanceof PartialFailureError ? (thrown.failures.get(id) ?? thrown) : thrown;
      const unavailable = isUnavailable(error);
      metrics.failed(labels, unavailable ? 'unavailable' : 'rejected');
      if (unavailable) {
        await log.release(id, claim.attempts - 1);
        return { kind: 'unavailable', isAlone: thrown instanceof PartialFailureError };
      }
      if (claim.attempts >= maxDeliveries || isFinal(error)) return park(describeError(error));
      logger.warn({ ...labels, streamId: id, attempts: claim.attempts, error: shownReason(options.topic, describeError(error)) }, 'entry rejected');
      return { kind: 'failed', attempts: claim.attempts, error };
    }
  }
  try {
    await log.ack([id], true);
  } catch {
    // Its effect is made: only the acknowledgement is tried again, and that does not count.
    state.handled.ids.push(id);
  }
  if (decoded.kind === 'event') metrics.fresh(labels, decoded.event.meta.timestamp);
  if (decoded.kind === 'heartbeat') {
    metrics.fresh(labels, decoded.timestamp);
    options.onHeartbeat?.(decoded.timestamp);
  }
  metrics.consumed(labels, decoded.kind === 'event' ? 'handled' : decoded.kind === 'heartbeat' ? 'heartbeat' : 'skipped', 1);
  return { kind: 'settled' };
}
