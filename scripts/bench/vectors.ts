// npm run bench -- vectors, or: node scripts/bench/vectors.ts. Every vector store that is at hand side by side, on the same data: all of them at 2,000 products (BENCH_PRODUCTS: another
// number), those that take more also at 20,000, with TEST_SCALE=full also at 100,000. Some 3 minutes on two cores. Pinecone is a stub of its wire, not the service.
import { loadavg } from 'node:os';
import { createSparseIndex } from '../eval/sparse.ts';
import { inColumns } from '../local/experiments.ts';
import { median, percentile, row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';
import { categories, makeCatalogue, plainNearest, toMatrix } from './vectors/catalogue.ts';
import type { Catalogue } from './vectors/catalogue.ts';
import { measureStore, nothing, plainEach, queriesOf, ratioOf, rounds } from './vectors/measure-stores.ts';
import type { Measured, Truth } from './vectors/measure-stores.ts';
import { batchRecords, fillStore, storeKinds } from './vectors/stores.ts';
import type { FilledStore, Kind } from './vectors/stores.ts';

interface Size { readonly count: number; readonly queriesEach: number }
interface AllMeasured { readonly byStore: ReadonlyMap<string, Measured>; readonly plain: readonly number[]; readonly lists: readonly number[] }

function timeOf(work: () => unknown): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

/** Round by round through all stores, each first in turn, so that what else the machine does meets them all. */
async function measureAll(stores: readonly FilledStore[], catalogue: Catalogue, { queriesEach }: Size): Promise<AllMeasured> {
  const truth: Truth = { matrix: toMatrix(catalogue), categoryOf: (at) => catalogue.records[at]?.payload.category ?? null };
  const byStore = new Map(stores.map(({ name }) => [name, nothing()]));
  const plain: number[] = [];
  const lists: number[] = [];
  const sparse = createSparseIndex(catalogue.terms);
  for (let round = 0; round <= rounds; round++) {
    const queries = queriesOf(catalogue, { round, count: queriesEach });
    const order = [...stores.slice(round % stores.length), ...stores.slice(0, round % stores.length)];
    // The first round warms up.
    for (const store of order) await measureStore(store, { round, queries }, round === 0 ? nothing() : (byStore.get(store.name) ?? nothing()), truth);
    if (round === 0) continue;
    plain.push(median(queries.slice(0, plainEach).map(({ vector }) => timeOf(() => plainNearest(truth.matrix, vector)))));
    lists.push(median(queries.map(({ number }) => timeOf(() => sparse.nearest(catalogue.terms[number] ?? { terms: new Uint32Array(), weights: new Float32Array() }, 10)))));
  }
  return { byStore, plain, lists };
}

const goals: Readonly<Record<number, number>> = { 20_000: 3, 100_000: 20 };

function toRows(store: FilledStore, measured: Measured, { count, baseline }: { readonly count: number; readonly baseline: readonly number[] }): BenchRow[] {
  const of = `${store.name}, ${count}`;
  const isEmbedded = store.name === 'embedded';
  const goal = goals[count];
  const raw = (unit: string, ours: readonly number[], theirs: readonly number[]) => (theirs.length === 0 ? { unit } : { unit, baseline: median(theirs), ratio: ratioOf(ours, theirs) });
  return [
    row(`${of}: nearest 10, p50`, median(measured.times), { unit: 'ms', baseline: median(baseline), ratio: ratioOf(measured.medians, baseline), ...(isEmbedded && goal !== undefined && { atMost: goal }) }),
    ...(measured.rawMedians.length > 0 ? [row(`${of}: nearest 10, against its client's own call`, median(measured.medians), raw('ms', measured.medians, measured.rawMedians))] : []),
    row(`${of}: nearest 10, p99`, percentile(measured.times, 0.99), { unit: 'ms' }),
    row(`${of}: recall@10`, measured.found / measured.wanted, { unit: 'share', atLeast: isEmbedded ? 1 : 0.95 }),
    row(`${of}: one category of ${categories}, p50`, median(measured.filtered), { unit: 'ms' }),
    row(`${of}: one category of ${categories}, recall@10`, measured.filteredFound / measured.filteredWanted, { unit: 'share', atLeast: isEmbedded ? 1 : 0.95 }),
    row(`${of}: upserts in batches of ${batchRecords}`, median(measured.upserts), raw('records/s', measured.upserts, measured.rawUpserts)),
    row(`${of}: changes of payload in batches of ${batchRecords}`, median(measured.payloadChanges), { unit: 'records/s' }),
    row(`${of}: open a reader, first answer`, store.openMs, { unit: 'ms' }),
  ];
}

const number = (value: number): string => (Number.isFinite(value) ? String(value >= 100 ? Math.round(value) : Number(value.toPrecision(3))) : '');

/** One line a store; those that are not measured are named with the reason. */
function printSideBySide(stores: readonly FilledStore[], { byStore }: AllMeasured, { size, absent }: { readonly size: Size; readonly absent: Readonly<Record<string, string>> }): void {
  const lines = stores.map(({ name }) => {
    const one = byStore.get(name) ?? nothing();
    return [
      name, number(one.found / one.wanted), number(median(one.times)), number(percentile(one.times, 0.99)), number(ratioOf(one.medians, one.rawMedians)),
      number(one.filteredFound / one.filteredWanted), number(median(one.filtered)), number(median(one.upserts)), number(ratioOf(one.upserts, one.rawUpserts)), number(median(one.payloadChanges)),
    ];
  });
  const load = loadavg().map((value) => value.toFixed(1)).join(', ');
  console.log(`\n${size.count} products, ${rounds} rounds of ${size.queriesEach} queries and a batch of ${batchRecords}, the stores taking turns; load average now ${load}. "of its client": the median of the rounds' ratios to the engine's own client, alternating.\n`);
  console.log(inColumns([
    ['store', 'recall@10', 'p50 ms', 'p99 ms', 'p50 of its client', `recall@10 in 1 of ${categories} categories`, 'p50 ms', 'upserts/s', 'of its client', 'payload changes/s'],
    ...lines,
  ]));
  for (const [name, reason] of Object.entries(absent)) console.log(`${name}: absent, ${reason}`);
}

async function measure(kinds: readonly Kind[], { size, absent }: { readonly size: Size; readonly absent: Readonly<Record<string, string>> }): Promise<BenchRow[]> {
  const catalogue = makeCatalogue(size.count);
  const stores: FilledStore[] = [];
  try {
    for (const kind of kinds) stores.push(await fillStore(kind, catalogue));
    const all = await measureAll(stores, catalogue, size);
    printSideBySide(stores, all, { size, absent });
    const embedded = all.byStore.get('embedded')?.medians ?? [];
    const rows = stores.flatMap((store) => toRows(store, all.byStore.get(store.name) ?? nothing(), { count: size.count, baseline: store.name === 'embedded' ? all.plain : embedded }));
    return [...rows, row(`lists of terms on the calling thread (ADR 11), ${size.count}: nearest 10, p50`, median(all.lists), { unit: 'ms', baseline: median(embedded), ratio: ratioOf(all.lists, embedded) })];
  } finally {
    for (const store of stores) await store.close();
  }
}

/** The baseline of the embedded store is the plain loop on the calling thread, that of the others the embedded store, in the same run; the ratio is the median of the rounds'. */
export async function run(): Promise<BenchRow[]> {
  const { kinds, absent } = storeKinds();
  const few = Object.fromEntries(kinds.flatMap(({ name, fewOnly }) => (fewOnly === undefined ? [] : [[name, fewOnly]])));
  const rows = await measure(kinds, { size: { count: Number(process.env['BENCH_PRODUCTS'] ?? 2_000), queriesEach: 20 }, absent });
  for (const count of [20_000, ...(process.env['TEST_SCALE'] === 'full' ? [100_000] : [])]) {
    rows.push(...(await measure(kinds.filter(({ fewOnly }) => fewOnly === undefined), { size: { count, queriesEach: 30 }, absent: { ...absent, ...few } })));
  }
  return rows;
}

if (import.meta.main) await run();
