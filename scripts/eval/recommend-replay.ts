/** The shop's year through the ranking of libs/ranking, clock = the time of the events. */
import { EMPTY_HISTORY, MAX_TOP, NO_CONTEXT, planInteraction, recommend } from '@millrace/ranking';
import type { BlendWeights, Counts, ItemFacts, Stage, UserHistory } from '@millrace/ranking';
import { createMemoryCounts } from '@millrace/ranking/testing';
import type { MemoryCounts } from '@millrace/ranking/testing';
import type { Split, TestCase } from './online-retail.ts';

/** What was known of a customer when the test's basket was bought. */
export interface Moment { readonly test: TestCase; readonly history: UserHistory; readonly trend: Pick<Counts, 'weight' | 'top'> }
export interface Replayed { readonly counts: MemoryCounts; readonly moments: readonly Moment[] }

/** Board scores begin in 2026: the year is moved, the distances stay. */
const SHIFT_MS = Date.UTC(2026, 0, 1) - Date.UTC(2010, 11, 1);
export const shifted = (atMs: number): number => atMs + SHIFT_MS;

function buy(counts: MemoryCounts, history: UserHistory, invoice: { readonly atMs: number; readonly skus: readonly string[] }): UserHistory {
  let now = history;
  for (const sku of invoice.skus) {
    const planned = planInteraction(now, { sku, type: 'purchase', atMs: shifted(invoice.atMs), category: null });
    counts.apply(planned.increments);
    now = planned.history;
  }
  return now;
}

/** Trends as they are now: later events do not reach them. */
function trendNow(counts: Counts, skus: readonly string[]): Pick<Counts, 'weight' | 'top'> {
  const weights = new Map(skus.map((sku) => [sku, counts.weight('trending', sku)]));
  const top = counts.top('trending', null).slice(0, MAX_TOP);
  return { weight: (board, sku) => (board === 'trending' ? (weights.get(sku) ?? 0) : counts.weight(board, sku)), top: (board, category) => (board === 'trending' && category === null ? top : counts.top(board, category)) };
}

/** Invoices one after the other; `atTest` is called before a test's basket, with the counts of everything earlier. */
export function replay({ train, tests }: Split, atTest: (moment: Moment, counts: MemoryCounts) => void = () => undefined): Replayed {
  const counts = createMemoryCounts();
  const histories = new Map<string, UserHistory>();
  const known = new Set<string>();
  const moments: Moment[] = [];
  let at = 0;
  const advance = (untilMs: number): void => {
    for (let next = train[at]; next !== undefined && next.atMs < untilMs; next = train[(at += 1)]) {
      histories.set(next.customer, buy(counts, histories.get(next.customer) ?? EMPTY_HISTORY, next));
      for (const sku of next.skus) known.add(sku);
    }
  };
  for (const test of tests) {
    advance(test.atMs);
    const moment = { test, history: histories.get(test.customer) ?? EMPTY_HISTORY, trend: trendNow(counts, [...known]) };
    moments.push(moment);
    atTest(moment, counts);
  }
  advance(Number.POSITIVE_INFINITY);
  return { counts, moments };
}

export interface RankOptions { readonly isNewOnly: boolean; readonly without?: ReadonlySet<Stage>; readonly weights?: BlendWeights }

const find = (sku: string): ItemFacts => ({ sku, category: null, brand: null, priceMinor: null, currency: 'GBP' });

/** The first 20 for one moment, and the stage that filled each place. */
export function rankAt(counts: Counts, { test, history, trend }: Moment, { isNewOnly, without, weights }: RankOptions): { readonly sku: string; readonly stage: Stage }[] {
  const seen = new Set(isNewOnly ? test.before.flatMap(({ skus }) => skus) : []);
  const found = recommend({
    counts: { ...counts, ...trend }, find, history, recent: NO_CONTEXT, similar: new Map(), newest: [], nowMs: shifted(test.atMs), limit: 20, exclude: seen,
    ...(without && { without }), ...(weights && { weights }),
  });
  return found.map(({ item, stage }) => ({ sku: item.sku, stage }));
}
