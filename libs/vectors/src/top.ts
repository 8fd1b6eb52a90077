export interface Scored { readonly sku: string; readonly score: number }

/** Best first; equal scores by sku. */
export const byScoreThenSku = (a: Scored, b: Scored): number => b.score - a.score || (a.sku < b.sku ? -1 : a.sku > b.sku ? 1 : 0);

export interface Top {
  /** A score below this cannot enter: lets the caller skip the rest of the work. */
  floor(): number;
  offer(candidate: Scored): void;
  best(): Scored[];
}

/** Keeps the `limit` best of all that are offered, in order. Right for small limits: insertion moves up to `limit` entries. */
export function createTop(limit: number): Top {
  const kept: Scored[] = [];
  return {
    floor: () => (kept.length < limit ? -Infinity : (kept.at(-1)?.score ?? -Infinity)),
    offer(candidate) {
      let low = 0;
      let high = kept.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        const other = kept[middle];
        if (other !== undefined && byScoreThenSku(other, candidate) < 0) low = middle + 1;
        else high = middle;
      }
      if (low >= limit) return;
      kept.splice(low, 0, candidate);
      if (kept.length > limit) kept.pop();
    },
    best: () => kept,
  };
}
