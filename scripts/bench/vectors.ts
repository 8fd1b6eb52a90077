// npm run bench -- vectors, or: node scripts/bench/vectors.ts. Every vector store that is at hand, on the same data: 20k products (BENCH_PRODUCTS: another number), with TEST_SCALE=full also 100k.
import type { SimilarHit } from '@millrace/vectors';
import { createSparseIndex } from '../eval/sparse.ts';
import { median, percentile, row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';
import { categories, makeCatalogue, plainNearest, toMatrix } from './vectors/catalogue.ts';
import type { Catalogue } from './vectors/catalogue.ts';
import { fillStore, storeKinds } from './vectors/stores.ts';
import type { FilledStore } from './vectors/stores.ts';

const pairs = 7;
/** BENCH_QUERIES: another number, for servers that are slow. */
const queriesEach = Number(process.env['BENCH_QUERIES'] ?? 30);
/** The plain loop takes long: a few queries of each round say enough. */
const plainEach = 8;

interface Query { readonly number: number; readonly vector: Float32Array; readonly category: string }
interface Truth { readonly matrix: Float32Array; readonly categoryOf: (row: number) => string | null }
interface Measured { readonly times: number[]; readonly medians: number[]; readonly raw: number[]; readonly filtered: number[]; found: number; filteredFound: number; wanted: number; filteredWanted: number }

const nothing = (): Measured => ({ times: [], medians: [], raw: [], filtered: [], found: 0, filteredFound: 0, wanted: 0, filteredWanted: 0 });

const queriesOf = ({ records }: Catalogue, round: number): Query[] =>
  Array.from({ length: queriesEach }, (_query, at) => {
    const number = (round * 1_009 + at * 613) % records.length;
    const { vector = new Float32Array(), payload } = records[number] ?? {};
    return { number, vector, category: payload?.category ?? '' };
  });

/** How many of the ten best there are: by score, because products with the same text are equally right. */
const countFound = (hits: readonly SimilarHit[], truth: readonly { score: number }[]): number => hits.filter(({ score }) => score >= (truth.at(-1)?.score ?? 1) - 1e-4).length;

async function askAll({ reader, raw }: FilledStore, queries: readonly Query[], into: Measured, { matrix, categoryOf }: Truth): Promise<void> {
  const ask = async ({ vector, category }: Query, isFiltered: boolean): Promise<readonly [number, readonly SimilarHit[]]> => {
    const started = performance.now();
    const hits = await reader.nearest(vector, { limit: 10, excludeSkus: [], ...(isFiltered && { category }) });
    return [performance.now() - started, hits];
  };
  const answers = [];
  const rawTimes: number[] = [];
  const askRaw = async ({ vector }: Query): Promise<void> => {
    if (raw === undefined) return;
    const started = performance.now();
    await raw.nearest(vector);
    rawTimes.push(performance.now() - started);
  };
  // One of ours, one raw, each first in turn.
  for (const [at, query] of queries.entries()) {
    if (at % 2 === 0) await askRaw(query);
    answers.push(await ask(query, false));
    if (at % 2 === 1) await askRaw(query);
  }
  if (rawTimes.length > 0) into.raw.push(median(rawTimes));
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

function timeOf(work: () => unknown): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

/** Round by round through all stores, each first in turn, so that what else the machine does meets them all. */
async function measureAll(stores: readonly FilledStore[], catalogue: Catalogue): Promise<{ byStore: ReadonlyMap<string, Measured>; plain: number[]; lists: number[] }> {
  const truth: Truth = { matrix: toMatrix(catalogue), categoryOf: (at) => catalogue.records[at]?.payload.category ?? null };
  const byStore = new Map(stores.map(({ name }) => [name, nothing()]));
  const plain: number[] = [];
  const sparse = createSparseIndex(catalogue.terms);
  const lists: number[] = [];
  for (let round = 0; round <= pairs; round++) {
    const queries = queriesOf(catalogue, round);
    const order = [...stores.slice(round % stores.length), ...stores.slice(0, round % stores.length)];
    // The first round warms up.
    for (const store of order) await askAll(store, queries, round === 0 ? nothing() : (byStore.get(store.name) ?? nothing()), truth);
    if (round === 0) continue;
    plain.push(median(queries.slice(0, plainEach).map(({ vector }) => timeOf(() => plainNearest(truth.matrix, vector)))));
    lists.push(median(queries.map(({ number }) => timeOf(() => sparse.nearest(catalogue.terms[number] ?? { terms: new Uint32Array(), weights: new Float32Array() }, 10)))));
  }
  return { byStore, plain, lists };
}

const goals: Readonly<Record<number, number>> = { 20_000: 3, 100_000: 20 };

function toRows(store: FilledStore, measured: Measured, { count, baseline }: { count: number; baseline: readonly number[] }): BenchRow[] {
  const of = `${store.name}, ${count}`;
  const isEmbedded = store.name === 'embedded';
  const ratio = median(measured.medians.map((value, at) => value / (baseline[at] ?? Number.NaN)));
  const recall = measured.found / measured.wanted;
  const overRaw = median(measured.medians.map((value, at) => value / (measured.raw[at] ?? Number.NaN)));
  return [
    row(`${of}: nearest 10, p50`, median(measured.times), { unit: 'ms', baseline: median(baseline), ratio, ...(isEmbedded && { atMost: goals[count] ?? 20 }) }),
    ...(measured.raw.length > 0 ? [row(`${of}: nearest 10, against its client's own call`, median(measured.medians), { unit: 'ms', baseline: median(measured.raw), ratio: overRaw })] : []),
    row(`${of}: nearest 10, p99`, percentile(measured.times, 0.99), { unit: 'ms' }),
    row(`${of}: recall@10`, recall, { unit: 'share', atLeast: isEmbedded ? 1 : 0.95 }),
    row(`${of}: one category of ${categories}, p50`, median(measured.filtered), { unit: 'ms' }),
    row(`${of}: one category of ${categories}, recall@10`, measured.filteredFound / measured.filteredWanted, { unit: 'share', atLeast: isEmbedded ? 1 : 0.95 }),
    row(`${of}: upsert in batches of 64`, store.upsertsPerSecond, { unit: 'records/s' }),
    row(`${of}: change payloads in batches of 64`, store.payloadChangesPerSecond, { unit: 'records/s' }),
    row(`${of}: open a reader, first answer`, store.openMs, { unit: 'ms' }),
  ];
}

async function measure(count: number): Promise<BenchRow[]> {
  const catalogue = makeCatalogue(count);
  const stores: FilledStore[] = [];
  try {
    for (const kind of storeKinds()) stores.push(await fillStore(kind, catalogue));
    printFeatures(stores);
    const { byStore, plain, lists } = await measureAll(stores, catalogue);
    const embedded = byStore.get('embedded')?.medians ?? [];
    const rows = stores.flatMap((store) => toRows(store, byStore.get(store.name) ?? nothing(), { count, baseline: store.name === 'embedded' ? plain : embedded }));
    const ratio = median(lists.map((value, at) => value / (embedded[at] ?? Number.NaN)));
    return [...rows, row(`lists of terms on the calling thread (ADR 11), ${count}: nearest 10, p50`, median(lists), { unit: 'ms', baseline: median(embedded), ratio })];
  } finally {
    for (const store of stores) await store.close();
  }
}

/** What each declares, in words. */
function printFeatures(stores: readonly FilledStore[]): void {
  console.table(Object.fromEntries(stores.map(({ name, features }) => [name, features])));
}

/** The baseline of the embedded store is the plain loop on the calling thread, that of the others the embedded store, in the same run; the ratio is the median of the rounds'. */
export async function run(): Promise<BenchRow[]> {
  const rows = await measure(Number(process.env['BENCH_PRODUCTS'] ?? 20_000));
  return process.env['TEST_SCALE'] === 'full' ? [...rows, ...(await measure(100_000))] : rows;
}

if (import.meta.main) console.table(await run());
