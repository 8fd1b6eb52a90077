import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '@millrace/client/contract';
import { getSync } from '@millrace/contracts';
import { openEmbeddedVectorAdmin } from '@millrace/vectors';
import { z } from 'zod';
import { sampleProducts } from '../../../libs/sample-catalogue/src/index.ts';
import type { Stack } from '../../local/stack.ts';
import { median, percentile, row } from './measure.ts';
import type { BenchRow } from './measure.ts';

type Bytes = ReadableStream<Uint8Array>;
const toBytes = (stream: Readable): Bytes => Readable.toWeb(stream) as Bytes;

export const sampleStream = (count: number): Bytes =>
  toBytes(Readable.from((function* () { for (const product of sampleProducts({ count })) yield Buffer.from(`${JSON.stringify({ ...product, merchant_id: 1, status: 'active', price: product.price ?? 1 })}\n`); })()));

/** icecat-19k where the shared folder is, else the sample catalogue at the same size. */
export function realStream(): { name: string; count: number; stream: Bytes; query: Record<string, string> } {
  const file = join(process.env['MILLRACE_SHARED'] ?? '../shared', 'data/icecat-19k/products.ndjson.gz');
  if (existsSync(file)) return { name: 'icecat-19k', count: 19_406, stream: toBytes(createReadStream(file)), query: { map: 'price=price_cents:0.01' } };
  return { name: 'sample catalogue', count: 20_000, stream: sampleStream(20_000), query: {} };
}

export async function importAll(stack: Stack, stream: Bytes, query: Record<string, string> = {}): Promise<void> {
  const client = createClient({ baseUrl: stack.gatewayUrl, apiKey: stack.apiKey });
  for await (const line of client.importProducts(stream, { contentType: 'application/x-ndjson', query })) if (line.type === 'report' && line.failed > 0) throw new Error(`${line.failed} rows failed`);
}

/** Resolves when the live index and the live collection hold so many products. */
export async function untilFound(stack: Stack, count: number, timeoutMs = 120_000): Promise<void> {
  const client = createClient({ baseUrl: stack.gatewayUrl, apiKey: stack.apiKey });
  const vectors = await openEmbeddedVectorAdmin({ directory: join(stack.env['EMBEDDED_DATA_DIR'] ?? '', 'vectors') });
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const { documents } = (await client.call(getSync)).body;
    const live = await vectors.liveCollection();
    if (documents === count && live !== undefined && (await vectors.count(live)) === count) break;
    if (performance.now() > deadlineMs) throw new Error(`after ${timeoutMs / 1_000} s the index has ${documents ?? 0} of ${count} products`);
    await delay(20);
  }
  await vectors.close();
}

interface Gateway { get(path: string): Promise<unknown>; post(path: string, body: unknown): Promise<unknown> }
export const gatewayOf = (stack: Stack): Gateway => {
  const call = async (path: string, init: RequestInit): Promise<unknown> => {
    const answer = await fetch(stack.gatewayUrl + path, { ...init, headers: { 'x-api-key': stack.apiKey, 'content-type': 'application/json', 'cache-control': 'no-cache' } });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
    return answer.json();
  };
  return { get: (path) => call(path, {}), post: (path, body) => call(path, { method: 'POST', body: JSON.stringify(body) }) };
};

const hits = z.object({ data: z.array(z.object({ sku: z.string(), source: z.string().optional() })) });
const dataOf = (answer: unknown): { sku: string; source?: string | undefined }[] => hits.parse(answer).data;

/** Write to visible, through the gateway, one product at a time: from sending the write to the first answer that has it. */
export async function benchVisible(stack: Stack, writes = 200): Promise<BenchRow[]> {
  const gateway = gatewayOf(stack);
  const inSearch: number[] = [];
  const inSimilar: number[] = [];
  await gateway.post('/api/products', { sku: 'visible-anchor', name: 'zanzibar quokka anchor', category: 'visible' });
  for (let n = 0; n < writes; n += 1) {
    const sku = `visible-${n}`;
    const word = `quokka${n}x`;
    const startMs = performance.now();
    await gateway.post('/api/products', { sku, name: `zanzibar ${word}`, category: 'visible' });
    const seen = async (ready: () => Promise<boolean>, times: number[]): Promise<void> => {
      while (!(await ready())) if (performance.now() - startMs > 10_000) throw new Error(`${sku} is not visible after 10 s`);
      times.push(performance.now() - startMs);
    };
    await Promise.all([
      seen(async () => dataOf(await gateway.get(`/api/search?q=${word}&limit=1`))[0]?.sku === sku, inSearch),
      seen(async () => dataOf(await gateway.get(`/api/products/${sku}/similar?limit=3&min_score=0`)).some((hit) => hit.source === 'similar' && hit.sku.startsWith('visible-')), inSimilar),
    ]);
  }
  return [
    row('write to visible in search, p50', median(inSearch), { unit: 'ms', atMost: 150 }),
    row('write to visible in search, p99', percentile(inSearch, 0.99), { unit: 'ms', atMost: 1_000 }),
    row('write to visible in similar, p50', median(inSimilar), { unit: 'ms', atMost: 150 }),
    row('write to visible in similar, p99', percentile(inSimilar, 0.99), { unit: 'ms', atMost: 1_000 }),
  ];
}

const QUERIES = ['laptop', 'surround sound speakers', 'garmin', 'flat screen tv', 'usb cable', 'hp ink cartridge', 'wireles mouse', 'monitor 24', 'samsung', 'headphones bluetooth'];

/** Latency at the gateway, each call paired with a round trip to the gateway that does nothing (/readyz). */
export async function benchGateway(stack: Stack, name: string): Promise<BenchRow[]> {
  const gateway = gatewayOf(stack);
  const skus = dataOf(await gateway.get('/api/search?limit=50')).map((hit) => hit.sku);
  const timed = async (path: string): Promise<number> => {
    const startMs = performance.now();
    await gateway.get(path);
    return performance.now() - startMs;
  };
  const measure = async (paths: readonly string[]): Promise<{ p50: number; p99: number; nothing: number }> => {
    const times: number[] = [];
    const nothing: number[] = [];
    for (const path of paths.slice(0, 20)) await timed(path);
    for (let i = 0; i < 300; i += 1) {
      times.push(await timed(paths[i % paths.length] ?? ''));
      nothing.push(await timed('/readyz'));
    }
    return { p50: median(times), p99: percentile(times, 0.99), nothing: median(nothing) };
  };
  const search = await measure(QUERIES.map((q) => `/api/search?q=${encodeURIComponent(q)}`));
  const similar = await measure(skus.map((sku) => `/api/products/${encodeURIComponent(sku)}/similar`));
  return [
    row(`search at the gateway, p50, ${name}`, search.p50, { unit: 'ms', atMost: 15, baseline: search.nothing, ratio: search.p50 / search.nothing }),
    row(`search at the gateway, p99, ${name}`, search.p99, { unit: 'ms' }),
    row(`similar at the gateway, p50, ${name}`, similar.p50, { unit: 'ms', atMost: 10, baseline: similar.nothing, ratio: similar.p50 / similar.nothing }),
    row(`similar at the gateway, p99, ${name}`, similar.p99, { unit: 'ms' }),
  ];
}
