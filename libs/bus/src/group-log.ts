import type { RawEntry } from './codec.ts';

export type Claim =
  /** Acknowledged, or another consumer's by now. */
  | { readonly kind: 'gone' }
  /** Deleted or trimmed before it was acknowledged: taken out of the pending list. */
  | { readonly kind: 'deleted' }
  /** Handled `attempts` times already, which is the limit. */
  | { readonly kind: 'exhausted'; readonly attempts: number }
  /** Ours, and this handling, number `attempts`, is counted already: a crash from here on counts against this entry only. */
  | { readonly kind: 'claimed'; readonly attempts: number; readonly entry: RawEntry };

/** Entries that have become this consumer's, without counting a handling. `deleted`: gone before they were acknowledged, taken out of the pending list. */
export interface Taken {
  readonly ids: readonly string[];
  readonly deleted: number;
}

/** What was put off and is due now. */
export interface TakenDue extends Taken {
  /** Until the next one is due; undefined where nothing is put off. */
  readonly nextInMs: number | undefined;
  /** How many are still put off, by all consumers of the group. */
  readonly waiting: number;
}

/** By one clock, in microseconds. */
export interface BootstrapNeed {
  /** When the group was created, or passed over by trimming. */
  readonly since: number;
  readonly now: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Where to go on; undefined at the end. */
  readonly next: string | undefined;
}

/**
 * One consumer's view of one group of one stream: what an adapter has to know. The policy above it is in consumer.ts. Where the stream is leased
 * (see assignment.ts), each method rejects with LeaseLostError, and changes nothing, once the lease is another's.
 */
export interface GroupLog {
  /** Makes sure that the group exists; a new one begins at the start of the stream. Tells whether it is new. */
  register(): Promise<boolean>;
  /**
   * Runs `read` unless the group's consumers have completed it since the group was created, or was passed over by trimming; one consumer at a
   * time, the others wait. An interrupted one is run again. Rejects with what `read` rejects with.
   */
  bootstrap(read: (need: BootstrapNeed) => Promise<void>, signal: AbortSignal): Promise<void>;
  /** Was the group passed over by trimming, so that it has to bootstrap before its next event? */
  needsBootstrap(): Promise<boolean>;
  /** New entries, waiting up to `blockMs` for the first. Throws GroupMissingError where the group is gone. */
  read(count: number, blockMs: number): Promise<readonly RawEntry[]>;
  /** Ends a waiting read as if its time were up; for good, where the broker is away. */
  interrupt(): void;
  /** Ends a waiting read as if its time were up, where the broker is there. */
  wake(): void;
  /** True once after the connection was lost: an answer may have been lost with it, so entries may be pending that nobody handles. */
  takeReconnected(): boolean;
  /** `tracked`: they were claimed singly. */
  ack(ids: readonly string[], tracked: boolean): Promise<void>;
  /** Ids that this consumer holds unacknowledged and has not put off, oldest first, from `from` (undefined = the first) on. */
  pending(from: string | undefined, count: number): Promise<Page<string>>;
  /** For a leased stream: takes over whatever the group has pending, oldest first; also what is put off, or not. */
  adopt(from: string | undefined, count: number, putOff: 'also' | 'not'): Promise<Page<RawEntry> & { readonly deleted: number }>;
  claim(id: string, maxAttempts: number): Promise<Claim>;
  /** Takes back the counting of a claim. */
  release(id: string, attempts: number): Promise<void>;
  /** Copies the entry to the group's dead letters and acknowledges it, atomically. Returns how many old dead letters had to go for it; undefined where it is not pending any more. */
  park(id: string, reason: string, attempts: number): Promise<number | undefined>;
  /** Puts an entry off; it stays pending, and comes to whichever consumer of the group first asks for what is due. */
  delay(id: string, delayMs: number): Promise<void>;
  takeDue(count: number): Promise<TakenDue>;
  /** Keeps entries that this consumer still holds from being reclaimed. */
  touch(ids: readonly string[]): Promise<void>;
  /** Takes over entries that nobody touched for `idleMs` and nobody has put off, without counting a handling. */
  reclaim(idleMs: number, count: number): Promise<Taken>;
  /** Forgets the group's other consumers that hold nothing and were not seen for so long, and what is left of entries that nobody holds. Returns how many consumers. */
  removeIdleConsumers(idleMs: number): Promise<number>;
  /** Forgets this consumer where it holds nothing, and closes. */
  close(): Promise<void>;
}
