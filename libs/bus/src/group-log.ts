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

/** One consumer's view of one group of one topic: what an adapter has to know. The policy above it is in consumer.ts. */
export interface GroupLog {
  /** Makes sure that the group exists; a new one begins at the start of the topic. */
  register(): Promise<void>;
  /**
   * Runs `read` unless the group's consumers have completed it since the group was created; one consumer at a time, the others wait.
   * An interrupted one is run again. Rejects with what `read` rejects with.
   */
  bootstrap(read: () => Promise<void>, signal: AbortSignal): Promise<void>;
  /** New entries, waiting up to `blockMs` for the first. Throws GroupMissingError where the group is gone. */
  read(count: number, blockMs: number): Promise<readonly RawEntry[]>;
  /** Ends a waiting read as if its time were up. */
  interrupt(): void;
  /** True once after the connection was lost: an answer may have been lost with it, so entries may be pending that nobody handles. */
  takeReconnected(): boolean;
  /** `tracked`: they were claimed singly. */
  ack(ids: readonly string[], tracked: boolean): Promise<void>;
  /** Ids that this consumer holds unacknowledged, oldest first. */
  pending(count: number): Promise<readonly string[]>;
  claim(id: string, maxAttempts: number): Promise<Claim>;
  /** Takes back the counting of a claim. */
  release(id: string, attempts: number): Promise<void>;
  /** Copies the entry to the group's dead letters and acknowledges it, atomically. */
  park(id: string, reason: string, attempts: number): Promise<void>;
  /** Keeps entries that this consumer still holds from being reclaimed. */
  touch(ids: readonly string[]): Promise<void>;
  /** Takes over entries that nobody touched for `idleMs`, without counting a handling. */
  reclaim(idleMs: number, count: number): Promise<{ readonly ids: readonly string[]; readonly deleted: number }>;
  close(): Promise<void>;
}
