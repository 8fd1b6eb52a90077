// npm run eval -- recommend [--tune] [--json FILE]: recommendations on online-retail, by the protocols of the shared data's README, beside the baselines of
// the same run; what each stage adds; and the same with nothing but what was known at that moment. --tune holds out the last but one invoices instead and
// compares weights on them, so that the test data decides nothing.
import { BLEND_WEIGHTS } from '@millrace/ranking';
import type { BlendWeights, Stage } from '@millrace/ranking';
import type { MemoryCounts } from '@millrace/ranking/testing';
import type { ResultRow } from '../local/experiments.ts';
import { loadInvoices, splitLast } from './online-retail.ts';
import type { Invoice, Split, TestCase } from './online-retail.ts';
import { baselines } from './recommend-baselines.ts';
import { rankAt, replay } from './recommend-replay.ts';
import type { Moment, Replayed } from './recommend-replay.ts';

interface Quality { readonly customers: number; readonly hitAt10: number; readonly hitAt20: number; readonly ndcgAt10: number }
interface Goal { readonly hitAt20: number; readonly ndcgAt10: number }
interface Protocol { readonly name: string; readonly isNewOnly: boolean }

const PROTOCOLS: readonly Protocol[] = [{ name: 'repeats allowed', isNewOnly: false }, { name: 'new items only', isNewOnly: true }];
const GOAL_WITH_REPEATS: Goal = { hitAt20: 0.82, ndcgAt10: 0.285 };

/** NDCG with binary gains; a customer who bought nothing that counts is left out. */
function score(cases: readonly { readonly test: TestCase; readonly ranked: readonly string[] }[], isNewOnly: boolean): Quality {
  let [customers, hitAt10, hitAt20, ndcg] = [0, 0, 0, 0];
  for (const { test, ranked } of cases) {
    const before = new Set(isNewOnly ? test.before.flatMap(({ skus }) => skus) : []);
    const wanted = new Set([...test.bought].filter((sku) => !before.has(sku)));
    if (wanted.size === 0) continue;
    customers += 1;
    const gain = (rank: number): number => 1 / Math.log2(rank + 2);
    const gained = ranked.slice(0, 10).reduce((sum, sku, rank) => sum + (wanted.has(sku) ? gain(rank) : 0), 0);
    const ideal = Array.from({ length: Math.min(10, wanted.size) }, (_none, rank) => gain(rank)).reduce((sum, one) => sum + one, 0);
    ndcg += gained / ideal;
    if (ranked.slice(0, 10).some((sku) => wanted.has(sku))) hitAt10 += 1;
    if (ranked.some((sku) => wanted.has(sku))) hitAt20 += 1;
  }
  return { customers, hitAt10: hitAt10 / customers, hitAt20: hitAt20 / customers, ndcgAt10: ndcg / customers };
}

interface RowOf { readonly protocol: Protocol; readonly ranker: string; readonly quality: Quality; readonly beside?: Quality | undefined; readonly goal?: Goal | undefined }

function rowsOf({ protocol, ranker, quality, beside, goal }: RowOf): ResultRow[] {
  const line = (metric: keyof Quality, label: string, atLeast?: number): ResultRow => ({
    operation: `${protocol.name} (${quality.customers}): ${ranker}, ${label}`, value: quality[metric], unit: '', baseline: beside?.[metric] ?? null,
    ratio: beside === undefined ? null : quality[metric] / beside[metric], goal: atLeast === undefined ? '' : `>= ${atLeast.toFixed(3)}`, met: atLeast === undefined ? null : quality[metric] >= atLeast,
  });
  return [line('hitAt10', 'HitRate@10'), line('hitAt20', 'HitRate@20', goal?.hitAt20), line('ndcgAt10', 'NDCG@10', goal?.ndcgAt10)];
}

interface Whole { readonly protocol: Protocol; readonly replayed: Replayed; readonly weights?: BlendWeights; readonly without?: ReadonlySet<Stage> }

const scoreOurs = ({ protocol: { isNewOnly }, replayed, ...options }: Whole): Quality =>
  score(replayed.moments.map((moment) => ({ test: moment.test, ranked: rankAt(replayed.counts, moment, { isNewOnly, ...options }).map(({ sku }) => sku) })), isNewOnly);

const STAGES: readonly Stage[] = ['own', 'co_buy', 'trending'];

function compareStages(protocol: Protocol, replayed: Replayed, whole: Quality): ResultRow[] {
  return STAGES.filter((stage) => stage !== 'own' || !protocol.isNewOnly).flatMap((stage) => {
    const quality = scoreOurs({ protocol, replayed, without: new Set([stage]) });
    return rowsOf({ protocol, ranker: `without ${stage}`, quality, beside: whole }).slice(1);
  });
}

function placesByStage(protocol: Protocol, { counts, moments }: Replayed): ResultRow[] {
  const places = moments.flatMap((moment) => rankAt(counts, moment, protocol).map(({ stage }) => stage));
  return [...Map.groupBy(places, (stage) => stage)].map(([stage, filled]) => ({ operation: `${protocol.name}: places filled by ${stage}`, value: filled.length / places.length, unit: 'share' }));
}

function evaluateProtocol(protocol: Protocol, split: Split, { replayed, causal }: { readonly replayed: Replayed; readonly causal: readonly { readonly test: TestCase; readonly ranked: readonly string[] }[] }): ResultRow[] {
  const others = Object.entries(baselines(split)).map(([ranker, rank]) => ({ ranker, quality: score(split.tests.map((test) => ({ test, ranked: rank(test, protocol.isNewOnly) })), protocol.isNewOnly) }));
  const knn = others.find(({ ranker }) => ranker === 'item-kNN')?.quality;
  const beside = protocol.isNewOnly ? knn : others.find(({ ranker }) => ranker === 'own frequency')?.quality;
  const goal = protocol.isNewOnly ? knn : GOAL_WITH_REPEATS;
  const quality = scoreOurs({ protocol, replayed });
  return [
    ...others.filter(({ ranker }) => ranker !== 'own frequency' || !protocol.isNewOnly).flatMap(({ ranker, quality: theirs }) => rowsOf({ protocol, ranker, quality: theirs })),
    ...rowsOf({ protocol, ranker: 'Millrace', quality, beside, goal }),
    ...rowsOf({ protocol, ranker: 'Millrace, nothing but what was known then', quality: score(causal, protocol.isNewOnly) }),
    ...compareStages(protocol, replayed, quality),
    ...placesByStage(protocol, replayed),
  ];
}

const GRID: readonly Partial<BlendWeights>[] = [{}, { discovery: 2 }, { discovery: 3.5 }, { trendExponent: 0.9 }, { trendExponent: 0.5 }, { trending: 0.5 }, { trendFloor: 0.06 }];

/** The last invoices are gone; the ones before them are the test. */
function tune(invoices: readonly Invoice[]): ResultRow[] {
  const replayed = replay(splitLast(splitLast(invoices).train));
  return PROTOCOLS.flatMap((protocol) => GRID.flatMap((change) => rowsOf({ protocol, ranker: `tuning ${JSON.stringify(change)}`, quality: scoreOurs({ protocol, replayed, weights: { ...BLEND_WEIGHTS, ...change } }) }).slice(1)));
}

export async function run(args: readonly string[]): Promise<ResultRow[]> {
  const invoices = await loadInvoices();
  if (invoices === undefined) {
    console.log('recommend skipped: the shared data folder (MILLRACE_SHARED, else ../shared) has no online-retail');
    return [];
  }
  if (args.includes('--tune')) return tune(invoices);
  const split = splitLast(invoices);
  const causal = PROTOCOLS.map((): { test: TestCase; ranked: string[] }[] => []);
  const atTest = (moment: Moment, counts: MemoryCounts): void =>
    PROTOCOLS.forEach((protocol, index) => causal[index]?.push({ test: moment.test, ranked: rankAt(counts, moment, protocol).map(({ sku }) => sku) }));
  const replayed = replay(split, atTest);
  return PROTOCOLS.flatMap((protocol, index) => evaluateProtocol(protocol, split, { replayed, causal: causal[index] ?? [] }));
}
