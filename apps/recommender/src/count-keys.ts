import type { Board, Counter, PairList } from '@millrace/ranking';
import type { Keys } from '@millrace/redis-kit';

/** One generation of the counts of one partition of `interactions`. */
export interface CountKeys {
  /** What the names of all of them begin with. */
  readonly prefix: string;
  /** History of a user: the only key of the counts that is about a person. */
  user(id: string): string;
  /** Sorted set: other item -> how often they met. */
  neighbours(list: PairList, sku: string): string;
  /** Hash: item -> count. */
  counter(counter: Counter): string;
  /** Sorted set: item -> weight as of the landmark; null = all categories. */
  board(board: Board, category: string | null): string;
  /** Set of ids of events that were in the export this generation was built from, before they were in the stream. */
  readonly counted: string;
}

/** All keys of one partition. They share a hash tag: one script touches them all on Cluster too. */
export interface PartitionKeys {
  /** Stream id of the last event that is in the live counts. */
  readonly applied: string;
  /** Name of the live generation; absent: FIRST_GENERATION. */
  readonly generation: string;
  /** Name of the generation that is being built, with HOLD behind it while nothing may be counted; absent: none. Ends by itself when its builder dies. */
  readonly building: string;
  /** List of the events that were counted since `building` is there. */
  readonly tail: string;
  /** List of users that were forgotten or moved since then. */
  readonly userChanges: string;
  /** How often users were forgotten or moved: whoever has read histories before writes none of them. */
  readonly userMoves: string;
  /** Sorted set of the generations that have keys: name -> when it was begun or retired, milliseconds. */
  readonly generations: string;
  of(generation: string): CountKeys;
}

/** The generation that is live before any was built. */
export const FIRST_GENERATION = '0';
/** Behind the name in `building`: the swap is near, counting waits. */
export const HOLD = ':hold';

export function partitionKeys(keys: Keys, partition: number): PartitionKeys {
  const root = keys.counts(partition);
  return {
    applied: `${root}:applied`,
    generation: `${root}:generation`,
    building: `${root}:building`,
    tail: `${root}:tail`,
    userChanges: `${root}:user-changes`,
    userMoves: `${root}:user-moves`,
    generations: `${root}:generations`,
    of: (generation) => {
      const prefix = `${root}:g${generation}`;
      return {
        prefix,
        user: (id) => `${prefix}:user:${id}`,
        neighbours: (list, sku) => `${prefix}:${list}:${sku}`,
        counter: (counter) => `${prefix}:${counter}`,
        board: (board, category) => (category === null ? `${prefix}:${board}` : `${prefix}:${board}:in:${category}`),
        counted: `${prefix}:counted`,
      };
    },
  };
}
