import type { Board, Counter, PairList } from './plan-interaction.ts';

/** Another item, and how often the two met. */
export interface Neighbour { readonly sku: string; readonly count: number }

/** The counts as one ranking sees them. What nobody counted is 0, or an empty list. */
export interface Counts {
  /** Most often first, without the item itself. */
  neighbours(list: PairList, sku: string): readonly Neighbour[];
  counter(counter: Counter, sku: string): number;
  /** Of the board for all categories, as a share of its first: 0 to 1. Asked for the user's own items and for those of `top`. */
  weight(board: Board, sku: string): number;
  /** Best first; null = for all categories. */
  top(board: Board, category: string | null): readonly string[];
}

/** What ranking knows of a product. */
export interface ItemFacts {
  readonly sku: string;
  readonly category: string | null;
  readonly brand: string | null;
  readonly priceMinor: number | null;
  readonly currency: string;
}

/** The products that may be shown. undefined = unknown, hidden, or sold out: appears at no stage. */
export type FindItem = (sku: string) => ItemFacts | undefined;

/** What a shopper did in the last minutes. */
export interface RecentContext {
  /** Newest first, each once. */
  readonly items: readonly string[];
  /** Bought in the last minutes: known before the counts are. */
  readonly purchases: readonly string[];
  /** Category -> how often it was looked at. */
  readonly categories: ReadonlyMap<string, number>;
}
export const NO_CONTEXT: RecentContext = { items: [], purchases: [], categories: new Map() };
