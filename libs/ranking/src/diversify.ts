import type { ItemFacts } from './counts.ts';

export interface Scored { readonly item: ItemFacts; readonly score: number }

export interface Variety {
  /** How much of an answer's order is the score's, 0 to 1; the rest is variety. */
  readonly relevance: number;
  /** Share of the places that one brand may take, 0 to 1. */
  readonly brandShare: number;
}
export const VARIETY: Variety = { relevance: 0.85, brandShare: 0.4 };
/** A category, or a brand, that is there already makes the next of it so much alike. */
const SAME_CATEGORY = 0.5;
const SAME_BRAND = 0.5;

/** Candidates behind these can hardly win. */
const MIN_CONSIDERED = 300;

/** Places that one brand may take: two fifths if nothing else is said, two at least. */
export const brandCap = (limit: number, share = VARIETY.brandShare): number => Math.max(2, Math.ceil(limit * share));

export interface Diversifier {
  /**
   * The best of the candidates for up to `places` places, by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): 0.85 of the score
   * relative to the best, less 0.15 of the likeness to what was taken before (same category, same brand). No brand takes more than its cap.
   */
  take<T extends Scored>(candidates: readonly T[], places: number): readonly T[];
}

/** Remembers what earlier stages took, so that the cap and the likeness hold for the whole answer. */
export function createDiversifier(limit: number, { relevance, brandShare } = VARIETY): Diversifier {
  const cap = brandCap(limit, brandShare);
  const categories = new Set<string>();
  const brands = new Map<string, number>();
  const likeness = ({ category, brand }: ItemFacts): number =>
    (category !== null && categories.has(category) ? SAME_CATEGORY : 0) + (brand !== null && brands.has(brand) ? SAME_BRAND : 0);
  const isFull = ({ brand }: ItemFacts): boolean => brand !== null && (brands.get(brand) ?? 0) >= cap;
  const remember = ({ category, brand }: ItemFacts): void => {
    if (category !== null) categories.add(category);
    if (brand !== null) brands.set(brand, (brands.get(brand) ?? 0) + 1);
  };
  return {
    take: (candidates, places) => {
      const left = candidates.toSorted((a, b) => b.score - a.score).slice(0, Math.max(MIN_CONSIDERED, places * 10));
      const top = Math.max(0, left[0]?.score ?? 0);
      const worth = ({ score }: Scored): number => (top === 0 ? 0 : (relevance * score) / top);
      const taken = new Set<(typeof candidates)[number]>();
      while (taken.size < places) {
        let best: (typeof candidates)[number] | undefined;
        let bestValue = Number.NEGATIVE_INFINITY;
        for (const one of left) {
          // Nothing behind it is worth more: likeness only takes away.
          if (worth(one) <= bestValue) break;
          if (taken.has(one) || isFull(one.item)) continue;
          const value = worth(one) - (1 - relevance) * likeness(one.item);
          if (value > bestValue) [best, bestValue] = [one, value];
        }
        if (best === undefined) break;
        taken.add(best);
        remember(best.item);
      }
      return [...taken];
    },
  };
}
