import { z } from 'zod';

/** Share of its weight that a bought item keeps with each later basket of the same user. */
export const BASKET_DECAY = 0.9;
/** Purchases of one user that are closer together than this are one basket; views, one session. */
export const BASKET_GAP_MS = 30 * 60_000;
/** Bought items that are kept for a user; the weakest go first. */
export const MAX_BOUGHT = 256;
/** Items that a user looked at last: what the next view is paired with. */
export const MAX_VIEWED = 5;

export interface BoughtItem {
  readonly sku: string;
  /** Baskets that held it, each decayed by the baskets up to `basket`. */
  readonly weight: number;
  /** Number of the last basket that held it. */
  readonly basket: number;
  /** How many baskets held it. */
  readonly baskets: number;
  readonly atMs: number;
}

export interface ViewedItem { readonly sku: string; readonly atMs: number }

/** What one user bought and looked at, bounded by MAX_BOUGHT and MAX_VIEWED. */
export interface UserHistory {
  /** Number of the newest basket, 0 = none yet. */
  readonly basket: number;
  /** Time of the newest purchase. */
  readonly boughtAtMs: number;
  readonly bought: readonly BoughtItem[];
  /** Newest first, each item once. */
  readonly viewed: readonly ViewedItem[];
}

export const EMPTY_HISTORY: UserHistory = { basket: 0, boughtAtMs: 0, bought: [], viewed: [] };

/** The item's weight as of the user's newest basket. */
export const weightNow = (item: BoughtItem, basket: number): number => item.weight * BASKET_DECAY ** Math.max(0, basket - item.basket);

const seconds = z.int().nonnegative();
const stored = z.object({
  b: z.int().nonnegative(), t: seconds,
  h: z.array(z.tuple([z.string(), z.number(), z.int(), z.int(), seconds])),
  v: z.array(z.tuple([z.string(), seconds])),
});

/** Compact JSON; times in whole seconds, weights to a thousandth. */
export const encodeHistory = ({ basket, boughtAtMs, bought, viewed }: UserHistory): string =>
  JSON.stringify({
    b: basket, t: toSeconds(boughtAtMs),
    h: bought.map((item) => [item.sku, Math.round(item.weight * 1_000) / 1_000, item.basket, item.baskets, toSeconds(item.atMs)]),
    v: viewed.map(({ sku, atMs }) => [sku, toSeconds(atMs)]),
  } satisfies z.input<typeof stored>);

/** What encodeHistory wrote; throws on anything else. */
export function decodeHistory(text: string): UserHistory {
  const { b, t, h, v } = stored.parse(JSON.parse(text));
  return {
    basket: b, boughtAtMs: t * 1_000,
    bought: h.map(([sku, weight, basket, baskets, at]) => ({ sku, weight, basket, baskets, atMs: at * 1_000 })),
    viewed: v.map(([sku, at]) => ({ sku, atMs: at * 1_000 })),
  };
}

const toSeconds = (ms: number): number => Math.max(0, Math.floor(ms / 1_000));

/** Histories of one user that were kept in different places (partitions of before and after a change): as if one had been kept all along, but for its baskets' order. */
export function mergeHistories(histories: readonly UserHistory[]): UserHistory {
  const [first, ...rest] = histories;
  if (first === undefined) return EMPTY_HISTORY;
  if (rest.length === 0) return first;
  const newest = Math.max(...histories.map(({ basket }) => basket));
  const bought = new Map<string, BoughtItem>();
  for (const history of histories)
    for (const item of history.bought) {
      const moved = { ...item, basket: item.basket + newest - history.basket };
      const known = bought.get(item.sku);
      bought.set(item.sku, known === undefined ? moved : joined(known, moved));
    }
  const viewed = new Map(histories.flatMap((history) => history.viewed).toSorted((a, b) => a.atMs - b.atMs).map((one) => [one.sku, one]));
  return {
    basket: newest, boughtAtMs: Math.max(...histories.map(({ boughtAtMs }) => boughtAtMs)),
    bought: keepStrongest([...bought.values()], newest), viewed: [...viewed.values()].toSorted((a, b) => b.atMs - a.atMs).slice(0, MAX_VIEWED),
  };
}

function joined(a: BoughtItem, b: BoughtItem): BoughtItem {
  const basket = Math.max(a.basket, b.basket);
  return { sku: a.sku, weight: weightNow(a, basket) + weightNow(b, basket), basket, baskets: a.baskets + b.baskets, atMs: Math.max(a.atMs, b.atMs) };
}

/** At most MAX_BOUGHT items, the heaviest as of the basket. */
export const keepStrongest = (items: readonly BoughtItem[], basket: number): readonly BoughtItem[] =>
  items.length <= MAX_BOUGHT ? items : items.toSorted((a, b) => weightNow(b, basket) - weightNow(a, basket) || b.atMs - a.atMs).slice(0, MAX_BOUGHT);
