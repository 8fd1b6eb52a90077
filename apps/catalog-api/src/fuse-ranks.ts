/** Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009: k = 60. */
const K = 60;

export interface Fused {
  readonly sku: string;
  /** Sum of 1 / (60 + rank) over the lists that have it; ranks begin with 1. */
  readonly score: number;
  /** Its rank in each list; undefined: it is not there. */
  readonly ranks: readonly (number | undefined)[];
}

/** Reciprocal rank fusion of lists in which each sku is there once, best first. Equal scores are ordered by sku: the same lists give the same order. */
export function fuseRanks(lists: readonly (readonly string[])[]): readonly Fused[] {
  const rankMaps = lists.map((list) => new Map(list.map((sku, index) => [sku, index + 1])));
  return [...new Set(lists.flat())]
    .map((sku): Fused => {
      const ranks = rankMaps.map((of) => of.get(sku));
      return { sku, ranks, score: ranks.reduce<number>((sum, rank) => (rank === undefined ? sum : sum + 1 / (K + rank)), 0) };
    })
    .toSorted((a, b) => b.score - a.score || (a.sku < b.sku ? -1 : 1));
}
