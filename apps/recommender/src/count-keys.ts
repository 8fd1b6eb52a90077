import type { Board, Counter, PairList } from '@millrace/ranking';
import type { Keys } from '@millrace/redis-kit';

/** Keys of the counts of one partition of `interactions`. They share a hash tag: one script touches them all on Cluster too. */
export interface CountKeys {
  /** Stream id of the last event that is in these counts. */
  readonly applied: string;
  user(id: string): string;
  /** Sorted set: other item -> how often they met. */
  neighbours(list: PairList, sku: string): string;
  /** Hash: item -> count. */
  counter(counter: Counter): string;
  /** Sorted set: item -> weight as of the landmark; null = all categories. */
  board(board: Board, category: string | null): string;
}

export function countKeys(keys: Keys, partition: number): CountKeys {
  const prefix = keys.counts(partition);
  return {
    applied: `${prefix}:applied`,
    user: (id) => `${prefix}:user:${id}`,
    neighbours: (list, sku) => `${prefix}:${list}:${sku}`,
    counter: (counter) => `${prefix}:${counter}`,
    board: (board, category) => (category === null ? `${prefix}:${board}` : `${prefix}:${board}:in:${category}`),
  };
}
