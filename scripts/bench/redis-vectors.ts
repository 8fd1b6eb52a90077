// npm run bench -- redis-vectors: what the search module's settings cost and find, for docs/adr/0010-redis-vectors.md. Needs TEST_REDIS_STACK_URL; TEST_SCALE=full: 100k products.
import { randomBytes } from 'node:crypto';
import { asFields, asList, asText, closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { openRedisVectorAdmin } from '@millrace/vectors';
import { median, percentile, row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';
import { makeCatalogue, plainNearest, toMatrix } from './vectors/catalogue.ts';
import type { Catalogue } from './vectors/catalogue.ts';

const queries = 60;
const rounds = 7;

interface Filter { readonly name: string; readonly query: string; readonly passes: (row: number) => boolean }
interface Variant { readonly how: string; readonly filter: Filter }

/** Shares of the catalogue by price: FT.SEARCH's filter, and the same here. */
const share = (percent: number): Filter => ({ name: `${percent} % pass`, query: `@price_minor:[0 ${percent - 1}]`, passes: (at) => at % 100 < percent });
const everything: Filter = { name: 'no filter', query: '*', passes: () => true };

const variants: readonly Variant[] = [
  ...[10, 50, 100, 200].map((ef) => ({ how: `EF_RUNTIME ${ef}`, filter: everything })),
  ...[1, 2, 10, 50].map(share).flatMap((filter) => ['EF_RUNTIME 100', 'HYBRID_POLICY BATCHES EF_RUNTIME 100', 'HYBRID_POLICY ADHOC_BF'].map((how) => ({ how, filter }))),
];

interface Result { readonly times: number[]; found: number; wanted: number }
interface Asked { readonly ms: number; readonly scores: readonly number[] }

async function ask(redis: Redis, index: string, { how, filter }: Variant, vector: Float32Array): Promise<Asked> {
  const query = `${filter.query === '*' ? '*' : `(${filter.query})`}=>[KNN 10 @vector $v ${how} AS distance]`;
  const started = performance.now();
  const reply = await redis.call('FT.SEARCH', [index, query, 'PARAMS', 2, 'v', Buffer.from(new Uint8Array(vector.buffer)), 'SORTBY', 'distance', 'RETURN', 1, 'distance', 'LIMIT', 0, 10, 'DIALECT', 2]);
  const ms = performance.now() - started;
  return { ms, scores: asList(reply).slice(1).filter((entry) => Array.isArray(entry)).map((entry) => 1 - Number(asText(asFields(entry).get('distance')))) };
}

async function compare(redis: Redis, index: string, { records }: Catalogue, matrix: Float32Array): Promise<BenchRow[]> {
  const asked = Array.from({ length: queries }, (_query, at) => records[(at * 613) % records.length]?.vector ?? new Float32Array());
  const filters = new Set(variants.map(({ filter }) => filter));
  const truths = new Map([...filters].map((filter) => [filter, asked.map((vector) => plainNearest(matrix, vector, filter.passes))]));
  const results = variants.map((): Result => ({ times: [], found: 0, wanted: 0 }));
  for (let round = 0; round < rounds; round++) {
    for (const [at, variant] of variants.entries()) {
      const result = results[at];
      const truth = truths.get(variant.filter);
      for (const [number, vector] of asked.entries()) {
        const { ms, scores } = await ask(redis, index, variant, vector);
        const best = truth?.[number] ?? [];
        if (result === undefined || round === 0) continue;
        result.times.push(ms);
        result.wanted += best.length;
        result.found += scores.filter((score) => score >= (best.at(-1)?.score ?? 1) - 1e-4).length;
      }
    }
  }
  return variants.flatMap(({ how, filter }, at) => {
    const { times, found, wanted } = results[at] ?? { times: [], found: 0, wanted: 0 };
    const of = `${records.length}, ${filter.name}, ${how}`;
    return [row(`${of}: p50`, median(times), { unit: 'ms' }), row(`${of}: p99`, percentile(times, 0.99), { unit: 'ms' }), row(`${of}: recall@10`, found / wanted, { unit: 'share' })];
  });
}

export async function run(): Promise<BenchRow[]> {
  const url = process.env['TEST_REDIS_STACK_URL'];
  if (!url) throw new Error('TEST_REDIS_STACK_URL is not set: no Redis with its search module');
  const catalogue = makeCatalogue(process.env['TEST_SCALE'] === 'full' ? 100_000 : 20_000);
  const name = `bench-${randomBytes(5).toString('hex')}`;
  const admin = await openRedisVectorAdmin({ url, alias: name, keyPrefix: `${name}-embedding` });
  const redis = connectRedis(url, { role: 'background', name: 'bench' });
  try {
    await whenReady(redis);
    const collection = await admin.createCollection(catalogue.model);
    const writer = await admin.openWriter(collection);
    const records = catalogue.records.map((record, at) => ({ ...record, payload: { ...record.payload, price_minor: at % 100 } }));
    for (let start = 0; start < records.length; start += 64) await writer.upsert(records.slice(start, start + 64));
    return await compare(redis, collection, catalogue, toMatrix(catalogue));
  } finally {
    for (const collection of await redis.smembers(`${name}:collections`)) await admin.dropCollection(collection);
    await admin.close();
    await closeRedis(redis);
  }
}

if (import.meta.main) console.table(await run());
