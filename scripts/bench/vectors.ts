// npm run bench -- vectors, or: node scripts/bench/vectors.ts. The embedded vector store as a service uses it: 20k products, with TEST_SCALE=full also 100k.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTfIdfEmbedder, createTfIdfFitter, modelId, serializeModel } from '@millrace/embedding';
import { openEmbeddedVectorAdmin, openEmbeddedVectorReader, type VectorModel, type VectorReader, type VectorRecord } from '@millrace/vectors';
import { loadIcecat } from '../eval/icecat.ts';
import { median, percentile } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';

const dimensions = 384;
const pairs = 7;
const queriesEach = 30;

const round = (value: number): number => Math.round(value * 100) / 100;

/** Real product texts where they are at hand, names and descriptions mixed anew once they run out. */
function textsOf(count: number): string[] {
  const products = loadIcecat()?.products ?? Array.from({ length: 8_000 }, (_product, at) => ({ name: `series ${at % 97} part ${at}`, description: `kind ${at % 31} colour ${at % 11} size ${at % 53} maker ${at % 211}` }));
  return Array.from({ length: count }, (_text, at) => {
    const [name, description] = [products[at % products.length], products[(at < products.length ? at : at * 7_919) % products.length]];
    return `${name?.name ?? ''}\n${description?.description ?? ''}`;
  });
}

function embedAll(count: number): { model: VectorModel; records: VectorRecord[] } {
  const texts = textsOf(count);
  const fitter = createTfIdfFitter({ dimensions });
  for (const text of texts) fitter.add(text);
  const fitted = fitter.fit();
  const embed = createTfIdfEmbedder(fitted);
  const records = texts.flatMap((text, at) => {
    const vector = embed(text);
    if (vector === undefined) return [];
    const payload = { name: text.slice(0, 60), category: `category ${at % 50}`, brand: null, merchant_id: 1, price_minor: 100, currency: 'USD', in_stock: true, image_url: null };
    return [{ sku: `sku-${at}`, version: 1, vector, textHash: 'h', payload, embeddedAt: '2026-11-21T10:00:00.000Z' }];
  });
  return { model: { id: modelId(fitted), dimensions, document: serializeModel(fitted) }, records };
}

/** What one would write first: one array, four sums, ten best kept in order. */
function plainNearest(matrix: Float32Array, query: Float32Array): number[] {
  const best: { row: number; score: number }[] = [];
  for (let row = 0, start = 0; start < matrix.length; row++, start += dimensions) {
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let at = 0; at < dimensions; at += 4) {
      a += (matrix[start + at] ?? 0) * (query[at] ?? 0);
      b += (matrix[start + at + 1] ?? 0) * (query[at + 1] ?? 0);
      c += (matrix[start + at + 2] ?? 0) * (query[at + 2] ?? 0);
      d += (matrix[start + at + 3] ?? 0) * (query[at + 3] ?? 0);
    }
    const score = a + b + c + d;
    if (best.length === 10 && score <= (best[9]?.score ?? 0)) continue;
    best.push({ row, score });
    best.sort((x, y) => y.score - x.score);
    best.length = Math.min(best.length, 10);
  }
  return best.map(({ row }) => row);
}

async function timesOf(queries: readonly Float32Array[], search: (query: Float32Array) => unknown): Promise<number[]> {
  const times: number[] = [];
  for (const query of queries) {
    const start = performance.now();
    await search(query);
    times.push(performance.now() - start);
  }
  return times;
}

async function compare(reader: VectorReader, records: readonly VectorRecord[], goalMs: number): Promise<BenchRow[]> {
  const matrix = new Float32Array(records.length * dimensions);
  records.forEach(({ vector }, row) => vector && matrix.set(vector, row * dimensions));
  const ours: number[] = [];
  const [plains, ratios]: [number[], number[]] = [[], []];
  const nearest = (query: Float32Array, category?: string) => reader.nearest(query, { limit: 10, excludeSkus: [], ...(category === undefined ? {} : { category }) });
  for (let pair = 0; pair < pairs; pair++) {
    const queries = Array.from({ length: queriesEach }, (_query, at) => records[(pair * 1_009 + at * 613) % records.length]?.vector ?? new Float32Array(dimensions));
    const times = await timesOf(queries, nearest);
    const plain = median(await timesOf(queries.slice(0, 10), (query) => plainNearest(matrix, query)));
    ours.push(...times);
    plains.push(plain);
    ratios.push(median(times) / plain);
  }
  const filtered = await timesOf(records.slice(0, 100).flatMap(({ vector }) => vector ?? []), (query) => nearest(query, 'category 7'));
  const of = `nearest 10 of ${records.length} x ${dimensions}, embedded`;
  return [
    { operation: `${of}, p50`, value: round(median(ours)), unit: 'ms', baseline: round(median(plains)), ratio: round(median(ratios)), goal: `< ${goalMs}`, met: median(ours) < goalMs },
    { operation: `${of}, p99`, value: round(percentile(ours, 0.99)), unit: 'ms', baseline: null, ratio: null, goal: '', met: null },
    { operation: `${of}, one category of 50, p50`, value: round(median(filtered)), unit: 'ms', baseline: null, ratio: null, goal: '', met: null },
  ];
}

async function measure(count: number, goalMs: number): Promise<BenchRow[]> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-vectors-'));
  const { model, records } = embedAll(count);
  const admin = await openEmbeddedVectorAdmin({ directory });
  const collection = await admin.createCollection(model);
  const writer = await admin.openWriter(collection);
  const batches = Array.from({ length: Math.ceil(records.length / 64) }, (_batch, at) => records.slice(at * 64, at * 64 + 64));
  const started = performance.now();
  for (const batch of batches) await writer.upsert(batch);
  const upsertSeconds = (performance.now() - started) / 1_000;
  await admin.swapTo(collection);
  const opened = performance.now();
  const reader = await openEmbeddedVectorReader({ directory, queryTimeoutMs: 30_000 });
  await reader.nearest(records[0]?.vector ?? new Float32Array(dimensions), { limit: 1, excludeSkus: [] });
  const loadMs = performance.now() - opened;
  try {
    return [
      ...(await compare(reader, records, goalMs)),
      { operation: `open and load ${count}`, value: Math.round(loadMs), unit: 'ms', baseline: null, ratio: null, goal: '', met: null },
      { operation: `upsert in batches of 64, ${count}`, value: Math.round(records.length / upsertSeconds), unit: 'records/s', baseline: null, ratio: null, goal: '', met: null },
    ];
  } finally {
    await reader.close();
    await writer.close();
    await admin.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The baseline is the plain loop on the calling thread, alternating with ours in the same run; the ratio is the median of the pairs'. */
export async function run(): Promise<BenchRow[]> {
  const rows = await measure(20_000, 3);
  return process.env['TEST_SCALE'] === 'full' ? [...rows, ...(await measure(100_000, 20))] : rows;
}

if (import.meta.main) console.table(await run());
