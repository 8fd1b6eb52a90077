import { BASKET_DECAY, BASKET_GAP_MS, keepStrongest, MAX_VIEWED, weightNow } from './user-history.ts';
import type { BoughtItem, UserHistory } from './user-history.ts';

export type InteractionType = 'view' | 'click' | 'add_to_cart' | 'purchase' | 'rate';

/** One thing that a user did. */
export interface UserAction {
  readonly sku: string;
  readonly type: InteractionType;
  readonly atMs: number;
  /** Of the item, null = none or unknown: where it trends. */
  readonly category: string | null;
}

export type PairList = 'co_buy' | 'co_view';
export type Counter = 'baskets' | 'buyers' | 'rebuyers' | 'views';
export type Board = 'trending' | 'popular';

/** What an interaction adds to the counts. Sums: their order does not matter. */
export type Increment =
  | { readonly kind: 'pair'; readonly list: PairList; readonly sku: string; readonly other: string; readonly by: number }
  | { readonly kind: 'counter'; readonly counter: Counter; readonly sku: string; readonly by: number }
  | { readonly kind: 'board'; readonly board: Board; readonly category: string | null; readonly sku: string; readonly by: number };

/** Time constants of the boards, milliseconds: after so long an event weighs 1/e. */
export const BOARD_TAU_MS: Readonly<Record<Board, number>> = { trending: 7 * 86_400_000, popular: 120 * 86_400_000 };
/** Instant at which an event weighs 1. Scores fit a double until 2039. */
export const BOARD_LANDMARK_MS = Date.UTC(2026, 0, 1);
/** Newest items of the same basket that a purchase is paired with: those beside it say more than a whole large basket, and cost less. */
export const MAX_PAIRED = 5;

/** What an event is worth on the boards; a rating is no demand. */
const EVENT_WEIGHT: Readonly<Record<InteractionType, number>> = { view: 1, click: 1, add_to_cart: 3, purchase: 5, rate: 0 };

/** Weight of an event at `atMs`, as of the landmark: forward decay (Cormode et al., ICDE 2009), so that scores never have to be aged. Finite for any time. */
export const boardWeight = (board: Board, atMs: number): number => Math.exp(Math.max(-700, Math.min(700, (atMs - BOARD_LANDMARK_MS) / BOARD_TAU_MS[board])));

export interface Planned { readonly history: UserHistory; readonly increments: readonly Increment[] }

const pairs = (list: PairList, sku: string, others: readonly string[]): Increment[] =>
  others.flatMap((other): Increment[] => [{ kind: 'pair', list, sku, other, by: 1 }, { kind: 'pair', list, sku: other, other: sku, by: 1 }]);

/** For every category and for the item's own. */
function onBoards({ sku, type, atMs, category }: UserAction): Increment[] {
  const weight = EVENT_WEIGHT[type];
  if (weight === 0) return [];
  const places = category === null ? [null] : [null, category];
  return places.flatMap((place) => (['trending', 'popular'] as const).map((board): Increment => ({ kind: 'board', board, category: place, sku, by: weight * boardWeight(board, atMs) })));
}

/**
 * What an interaction changes: the user's history, and increments of the counts. Pure. An item that is bought twice in one basket, or looked at
 * again within a session's last few, counts once. A purchase older than the newest basket adds to the history and pairs with nothing.
 */
export function planInteraction(history: UserHistory, interaction: UserAction): Planned {
  if (interaction.type === 'rate') return { history, increments: [] };
  return interaction.type === 'purchase' ? planPurchase(history, interaction) : planView(history, interaction);
}

function planView(history: UserHistory, interaction: UserAction): Planned {
  const { sku, atMs } = interaction;
  const session = history.viewed.filter((one) => Math.abs(atMs - one.atMs) <= BASKET_GAP_MS);
  const isKnown = session.some((one) => one.sku === sku);
  const viewed = [{ sku, atMs }, ...history.viewed.filter((one) => one.sku !== sku)].toSorted((a, b) => b.atMs - a.atMs).slice(0, MAX_VIEWED);
  const counted: Increment[] = isKnown ? [] : [{ kind: 'counter', counter: 'views', sku, by: 1 }, ...pairs('co_view', sku, session.map((one) => one.sku))];
  return { history: { ...history, viewed }, increments: [...counted, ...(isKnown && interaction.type !== 'add_to_cart' ? [] : onBoards(interaction))] };
}

function planPurchase(history: UserHistory, interaction: UserAction): Planned {
  const { sku, atMs } = interaction;
  const isLate = history.basket > 0 && atMs < history.boughtAtMs - BASKET_GAP_MS;
  const isSame = history.basket > 0 && !isLate && atMs <= history.boughtAtMs + BASKET_GAP_MS;
  const newest = isLate || isSame ? history.basket : history.basket + 1;
  const known = history.bought.find((item) => item.sku === sku);
  if (isSame && known?.basket === newest) return { history: { ...history, boughtAtMs: Math.max(history.boughtAtMs, atMs) }, increments: [] };
  const beside = isSame ? inBasket(history, newest).filter((other) => other !== sku) : [];
  return {
    history: { ...history, basket: newest, boughtAtMs: Math.max(history.boughtAtMs, atMs), bought: withPurchase(history.bought, { known, sku, atMs, newest, isLate }) },
    increments: [...countersOf(sku, known), ...pairs('co_buy', sku, beside), ...onBoards(interaction)],
  };
}

const inBasket = (history: UserHistory, basket: number): string[] => history.bought.filter((item) => item.basket === basket).slice(-MAX_PAIRED).map(({ sku }) => sku);

function countersOf(sku: string, known: BoughtItem | undefined): Increment[] {
  const counters: Counter[] = ['baskets', ...(known === undefined ? (['buyers'] as const) : []), ...(known?.baskets === 1 ? (['rebuyers'] as const) : [])];
  return counters.map((counter) => ({ kind: 'counter', counter, sku, by: 1 }));
}

interface NewPurchase { readonly known: BoughtItem | undefined; readonly sku: string; readonly atMs: number; readonly newest: number; readonly isLate: boolean }

function withPurchase(bought: readonly BoughtItem[], { known, sku, atMs, newest, isLate }: NewPurchase): readonly BoughtItem[] {
  // A late one counts as bought one basket ago: how many lay between is not known any more.
  const basket = isLate ? Math.max(known?.basket ?? 0, newest - 1) : newest;
  const added = isLate && basket === newest ? BASKET_DECAY : 1;
  const item: BoughtItem = { sku, basket, baskets: (known?.baskets ?? 0) + 1, atMs: Math.max(known?.atMs ?? 0, atMs), weight: (known === undefined ? 0 : weightNow(known, basket)) + added };
  return keepStrongest([...bought.filter((one) => one.sku !== sku), item], newest);
}
