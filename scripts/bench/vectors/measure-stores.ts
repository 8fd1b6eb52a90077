import type { SimilarHit } from '@millrace/vectors';
import { median } from '../support/measure.ts';
import { plainNearest } from './catalogue.ts';
import type { Catalogue } from './catalogue.ts';
import { batchRecords } from './stores.ts';
import type { FilledStore } from './stores.ts';

export const rounds = 7;
/** Brute force takes long: a few queries of each round say enough. */
export const plainEach = 8;

export interface Query { readonly number: number; readonly vector: Float32Array; readonly category: string }
export interface Truth { readonly matrix: Float32Array; readonly categoryOf: (row: number) => string | null }

/** Of all rounds: `times` and `filtered` each query, everything else one figure a round. Writes are records a second. */
export interface Measured {
  readonly times: number[];
  readonly filtered: number[];
  readonly medians: number[];
  readonly rawMedians: number[];
  readonly upserts: number[];
  readonly rawUpserts: number[];
  readonly payloadChanges: number[];
  found: number;
  wanted: number;
  filteredFound: number;
  filteredWanted: number;
}

export const nothing = (): Measured => ({ times: [], filtered: [], medians: [], rawMedians: [], upserts: [], rawUpserts: [], payloadChanges: [], found: 0, wanted: 0, filteredFound: 0, filteredWanted: 0 });

/** Median of the rounds' ratios. */
export const ratioOf = (ours: readonly number[], theirs: readonly number[]): number => median(ours.map((value, at) => value / (theirs[at] ?? Number.NaN)));

export const queriesOf = ({ records }: Catalogue, { round, count }: { readonly round: number; readonly count: number }): Query[] =>
  Array.from({ length: count }, (_query, at) => {
    const number = (round * 1_009 + at * 613) % records.length;
    const { vector = new Float32Array(), payload } = records[number] ?? {};
    return { number, vector, category: payload?.category ?? '' };
  });

/** How many of the ten best there are: by score, because products with the same text are equally right. */
const countFound = (hits: readonly SimilarHit[], truth: readonly { score: number }[]): number => hits.filter(({ score }) => score >= (truth.at(-1)?.score ?? 1) - 1e-4).length;

/** One batch of ours and one raw, each first in turn. */
async function writeAll({ upsert, rewrite, changePayloads }: FilledStore, round: number, into: Measured): Promise<void> {
  const perSecond = (ms: number): number => batchRecords / (ms / 1_000);
  const writeRaw = async (): Promise<void> => {
    if (rewrite !== undefined) into.rawUpserts.push(perSecond(await rewrite()));
  };
  if (round % 2 === 0) await writeRaw();
  into.upserts.push(perSecond(await upsert()));
  if (round % 2 === 1) await writeRaw();
  into.payloadChanges.push(perSecond(await changePayloads()));
}

/** One query of ours and one raw, each first in turn; then ours within a category. */
async function askAll({ reader, raw }: FilledStore, queries: readonly Query[], into: Measured, { matrix, categoryOf }: Truth): Promise<void> {
  const ask = async ({ vector, category }: Query, isFiltered: boolean): Promise<readonly [number, readonly SimilarHit[]]> => {
    const started = performance.now();
    const hits = await reader.nearest(vector, { limit: 10, excludeSkus: [], ...(isFiltered && { category }) });
    return [performance.now() - started, hits];
  };
  const rawTimes: number[] = [];
  const askRaw = async ({ vector }: Query): Promise<void> => {
    if (raw === undefined) return;
    const started = performance.now();
    await raw.nearest(vector);
    rawTimes.push(performance.now() - started);
  };
  // What was written is taken over by the first search: that is no query's time.
  for (const query of queries.slice(0, 1)) await ask(query, false);
  const answers = [];
  for (const [at, query] of queries.entries()) {
    if (at % 2 === 0) await askRaw(query);
    answers.push(await ask(query, false));
    if (at % 2 === 1) await askRaw(query);
  }
  if (rawTimes.length > 0) into.rawMedians.push(median(rawTimes));
  const filtered = [];
  for (const query of queries) filtered.push(await ask(query, true));
  into.times.push(...answers.map(([ms]) => ms));
  into.medians.push(median(answers.map(([ms]) => ms)));
  into.filtered.push(...filtered.map(([ms]) => ms));
  for (const [at, query] of queries.slice(0, plainEach).entries()) {
    const truth = plainNearest(matrix, query.vector);
    const filteredTruth = plainNearest(matrix, query.vector, (one) => categoryOf(one) === query.category);
    into.wanted += truth.length;
    into.filteredWanted += filteredTruth.length;
    into.found += countFound(answers[at]?.[1] ?? [], truth);
    into.filteredFound += countFound(filtered[at]?.[1] ?? [], filteredTruth);
  }
}

export async function measureStore(store: FilledStore, { round, queries }: { readonly round: number; readonly queries: readonly Query[] }, into: Measured, truth: Truth): Promise<void> {
  await writeAll(store, round, into);
  await askAll(store, queries, into, truth);
}
