import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { describeWith, eventually, testServer, uniqueName } from '../../libs/testing/src/index.ts';
import { root } from '../local/paths.ts';
import type { Plane } from './support/plane.ts';
import { CATALOGUE_APPS, ndjson, startPlane } from './support/plane.ts';

const scale = process.env['TEST_SCALE'] === 'full' ? 4 : 1;
let plane: Plane;
beforeAll(async () => { plane = await startPlane({}, { apps: [...CATALOGUE_APPS, 'event-ingest', 'recommender'] }); });
afterAll(() => plane.stop());

const products = function* (prefix: string, count: number, name = 'Bình giữ nhiệt'): Generator<Record<string, unknown>> {
  for (let n = 0; n < count; n += 1) yield { sku: `${prefix}-${n}`, name: `${name} ${n}`, description: `Thermal bottle number ${n} keeps water cold for ${n % 24} hours`, category: `c${n % 7}`, brand: `b${n % 5}`, price: 10 + n, stock: n % 3 };
};
const dataOf = (body: unknown): { sku: string; similarity_score?: number | undefined; source?: string | undefined }[] =>
  z.object({ data: z.array(z.looseObject({ sku: z.string(), similarity_score: z.number().optional(), source: z.string().optional() })) }).parse(body).data;
const searchSkus = async (query: string): Promise<string[]> => {
  const { body } = await plane.call('GET', `/api/search?${query}`);
  return dataOf(body).map((hit) => hit.sku);
};

describe('the catalogue plane', () => {
  it('finds a product by text and by similarity once it is written', async () => {
    const word = uniqueName('zeppelin').replace('_', '');
    const [a, b] = [uniqueName('sku'), uniqueName('sku')];
    for (const sku of [a, b]) expect((await plane.call('POST', '/api/products', { sku, name: `${word} lamp`, description: 'brass lamp', category: 'lamps' })).status).toBe(201);
    await eventually(async () => (await searchSkus(`q=${word}`)).length === 2);
    const similar = await eventually(async () => {
      const { body } = await plane.call('GET', `/api/products/${a}/similar?limit=5`);
      const first = dataOf(body)[0];
      return first?.sku === b && first.source === 'similar' && { first, body };
    });
    expect(similar.first.similarity_score).toBeGreaterThan(0.99);
    expect(similar.body).toMatchObject({ model: expect.any(String), degraded: false });
    const aliases = await Promise.all([plane.call('GET', `/api/recommendations/${a}/similar?limit=5`), plane.call('GET', `/recommendations/${a}/similar?limit=5`), plane.call('POST', '/products', { product_id: a, limit: 5 })]);
    for (const alias of aliases) expect(alias).toMatchObject({ status: 200, body: { data: similar.body['data'] } });
  });

  it('follows create, delete and create again in quick succession, everywhere', async () => {
    const sku = uniqueName('again');
    await plane.call('POST', '/api/products', { sku, name: 'first life', category: 'x' });
    expect((await plane.call('DELETE', `/api/products/${sku}`, undefined, { 'if-match': '*' })).status).toBe(204);
    const { body } = await plane.call('POST', '/api/products', { sku, name: 'second life', category: 'x' });
    await eventually(async () => (await plane.found()).get(sku) === body['version']);
    await eventually(async () => (await plane.embedded()).get(sku) === body['version']);
  });

  it('gives a product from the cache, the change of its writer to the next read, and that of an import within a second', async () => {
    const sku = uniqueName('cached');
    const path = `/api/products/${sku}`;
    await plane.call('POST', '/api/products', { sku, name: 'first name', category: 'x' });
    await eventually(async () => (await plane.found()).has(sku));
    const hit = await eventually(async () => { const answer = await plane.call('GET', path); return /^millrace; hit; ttl=\d+/.test(answer.headers.get('cache-status') ?? '') && answer; });
    expect([hit.headers.get('age'), (await plane.call('GET', path, undefined, { 'if-none-match': hit.headers.get('etag') ?? '' })).status]).toEqual([expect.stringMatching(/^\d+$/), 304]);
    await plane.call('PATCH', path, { name: 'second name' }, { 'if-match': '*' });
    expect((await plane.call('GET', path)).body['name']).toBe('second name');
    // An import is no write whose gateway knows the products: the bus tells.
    await plane.import(ndjson([{ sku, name: 'third name', category: 'x' }]));
    await eventually(async () => (await plane.call('GET', path)).body['name'] === 'third name');
  });

  it('has all parts of a product page in one call as soon as every service knows the product', async () => {
    const sku = uniqueName('page');
    await plane.call('POST', '/api/products', { sku, name: `visible ${sku}`, stock: 3 });
    const page = await eventually(async () => {
      const { body } = await plane.call('GET', `/api/pages/product/${sku}`);
      return body['complete'] === true && body;
    });
    expect(page).toMatchObject({ parts: { product: { data: { sku } }, similar: { status: 'ok' }, also_bought: { status: 'ok' }, stock: { data: { stock: 3, in_stock: true } } } });
    expect((await plane.call('GET', `/api/pages/product/${sku}-not`)).status).toBe(404);
  });

  it('hides drafts and archived products', async () => {
    const sku = uniqueName('hidden');
    const { body } = await plane.call('POST', '/api/products', { sku, name: `visible ${sku}`, category: 'x' });
    await eventually(async () => (await plane.found()).has(sku));
    await plane.call('PATCH', `/api/products/${sku}`, { status: 'archived' }, { 'if-match': '*' });
    await eventually(async () => !(await plane.found()).has(sku));
    expect(body['status']).toBe('active');
  });

  it('serves the storefront of the examples, which is written with the SDK', async () => {
    const word = uniqueName('teapot').replaceAll(/[^a-z]/g, '');
    const skus = [uniqueName('sku'), uniqueName('sku')] as const;
    for (const sku of skus) await plane.call('POST', '/api/products', { sku, name: `${word} ${sku}`, category: word, price: '20.00', currency: 'USD', stock: 1 });
    await eventually(async () => (await searchSkus(`q=${word}`)).length === 2);
    const run = promisify(execFile);
    const shop = async (asked: string): Promise<string> => (await run(process.execPath, ['examples/storefront.ts', asked], { cwd: root, env: { ...process.env, MILLRACE_URL: plane.stack.gatewayUrl, MILLRACE_API_KEY: plane.stack.apiKey } })).stdout;
    const first = await shop(word);
    expect(first).toMatch(/^2 found\n/);
    const sold = /sold one (\S+), 0 left/.exec(first)?.[1] ?? '';
    expect(skus).toContain(sold);
    expect(first).toContain(`${sold} costs 18.00 USD now`);
    expect(first).toMatch(/\d+ of \d+ products are out of stock/);
    expect((await plane.call('GET', `/api/products/${sold}`)).body).toMatchObject({ stock: 0 });
    expect(await shop(sold)).toContain(`${sold} is sold out`);
  });

  it('obeys synonyms and rules through the gateway as soon as they are created, and counts what is searched for', async () => {
    const [known, asked] = [uniqueName('brazier').replaceAll(/[^a-z]/g, ''), uniqueName('firepit').replaceAll(/[^a-z]/g, '')];
    const [plain, pinned] = [uniqueName('sku'), uniqueName('sku')];
    await plane.call('POST', '/api/products', { sku: plain, name: known });
    await plane.call('POST', '/api/products', { sku: pinned, name: 'something else' });
    await eventually(async () => (await plane.found()).has(pinned) && (await searchSkus(`q=${known}`)).length === 1);
    const synonym = await plane.call('POST', '/api/admin/synonyms', { kind: 'one_way', terms: [asked], means: [known] });
    const rule = await plane.call('POST', '/api/admin/rules', { query: known, action: { type: 'pin', skus: [pinned] } });
    expect([synonym.status, rule.status]).toEqual([201, 201]);
    const { body } = await plane.call('GET', `/api/search?q=${asked}&explain=true`, undefined, { 'x-user-id': 'customer-81' });
    expect(body).toMatchObject({ data: [{ sku: pinned, explanation: [`pinned by rule ${String(rule.body['id'])}`] }, { sku: plain, explanation: expect.any(Array) }], hybrid: false });
    // Most of these come from the cache of the gateway.
    for (let n = 0; n < 8; n += 1) await plane.call('GET', `/api/search?q=${asked}`);
    await eventually(async () => JSON.stringify((await plane.call('GET', '/api/admin/searches/popular')).body['data']).includes(`"query":"${asked}","searches":9,`));
    await plane.call('DELETE', `/api/admin/rules/${String(rule.body['id'])}`);
    expect(await searchSkus(`q=${asked}`)).toEqual([plain]);
  });

  it('agrees in all three stores after an import', async () => {
    const prefix = uniqueName('imp');
    expect(await plane.import(ndjson(products(prefix, 600 * scale)))).toMatchObject({ created: 600 * scale, failed: 0 });
    await plane.agrees();
  });

  it('fits a model once the catalogue has grown, beside the live collection, and answers with it', async () => {
    const model = async (): Promise<unknown> => {
      const [first] = await searchSkus('limit=1');
      return (await plane.call('GET', `/api/products/${first ?? ''}/similar`)).body['model'];
    };
    await plane.import(ndjson(products(uniqueName('fit'), 600)));
    const fitted = await eventually(async () => {
      const { rows } = await plane.fits();
      return rows.at(-1)?.fitted_on !== 0 && rows.at(-1);
    });
    expect(fitted?.fitted_on).toBeGreaterThanOrEqual(500);
    await eventually(async () => (await model()) === fitted?.model_id);
    await plane.agrees();
  });

  it.each([
    ['an unknown parameter', 'GET', '/api/search?colour=red', undefined, 400, '/colour'],
    ['a malformed cursor', 'GET', '/api/search?cursor=rubbish', undefined, 400, '/cursor'],
    ['a price range upside down', 'GET', '/api/search?min_price=5&max_price=1', undefined, 400, '/min_price'],
    ['an unknown currency', 'GET', '/api/search?currency=XQQ', undefined, 400, '/currency'],
    ['a limit out of range', 'GET', '/api/products/x/similar?limit=1000', undefined, 400, '/limit'],
    ['an unknown sku', 'GET', '/api/products/no-such-sku/similar', undefined, 404, undefined],
    ['a wrong type', 'POST', '/api/products', { sku: 1, name: 'x' }, 400, '/sku'],
  ])('answers %s with a problem', async (_what, method, path, body, status, pointer) => {
    const answer = await plane.call(method, path, body);
    expect(answer).toMatchObject({ status, body: { code: expect.any(String), detail: expect.any(String) } });
    expect(answer.body['pointer']).toBe(pointer);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
  });

  it('serves the OpenAPI and AsyncAPI documents and their page without a network', async () => {
    expect((await plane.call('GET', '/openapi.json')).body).toMatchObject({ openapi: '3.1.0' });
    expect((await plane.call('GET', '/asyncapi.json')).body).toMatchObject({ asyncapi: '3.0.0' });
    const page = await fetch(`${plane.stack.gatewayUrl}/docs`);
    const script = await fetch(`${plane.stack.gatewayUrl}/docs/assets/swagger-ui-bundle.js`);
    expect([page.status, script.status, (await page.text()).includes('http')]).toEqual([200, 200, false]);
  });
});

describe('faults', () => {
  it.each(['gateway', 'catalog-api', 'embedding-worker', 'es-sync-worker'] as const)('agrees in all three stores when %s is killed in the middle of an import', async (name) => {
    const prefix = uniqueName('kill');
    const running = plane.import(ndjson(products(prefix, 2_000 * scale))).catch((error: unknown) => error);
    await plane.hasStarted(prefix);
    await plane.stack.app(name).kill('SIGKILL');
    await plane.stack.app(name).restart();
    await running;
    await plane.agrees(60_000);
    expect(await plane.import(ndjson(products(prefix, 2_000 * scale)))).toMatchObject({ rows: 2_000 * scale, failed: 0 });
    await plane.agrees(60_000);
  }, 180_000);

  it.each([
    ['Redis is flushed', async (redis: Redis) => void (await redis.flushall())],
    ['the stream is deleted', async (redis: Redis) => void (await redis.del('product:updates'))],
  ])('misses nothing after %s while writes go on', async (_what, harm) => {
    const prefix = uniqueName('harm');
    const redis = new Redis(plane.stack.env['REDIS_URL'] ?? '');
    const running = plane.import(ndjson(products(prefix, 2_000 * scale)));
    await plane.hasStarted(prefix);
    await harm(redis);
    expect(await running).toMatchObject({ created: 2_000 * scale });
    await redis.quit();
    await plane.agrees(60_000);
  }, 180_000);

  it('keeps taking writes while Redis is killed, and misses nothing afterwards', async () => {
    const sku = uniqueName('dark');
    await plane.stack.redis.kill();
    expect((await plane.call('POST', '/api/products', { sku, name: 'written in the dark' })).status).toBe(201);
    await plane.stack.redis.restart();
    await plane.agrees(60_000);
    expect((await plane.found()).has(sku)).toBe(true);
  });
});

describeWith('shared', 'real input', () => {
  it('imports icecat-19k, all of it at full size, and finds it in search and vectors', async () => {
    const lines = gunzipSync(readFileSync(join(testServer('shared'), 'data/icecat-19k/products.ndjson.gz'))).toString('utf8').trimEnd().split('\n');
    const part = scale === 1 ? lines.slice(0, 5_000) : lines;
    const report = await plane.import(new Blob([part.join('\n')]).stream(), { map: 'price=price_cents:0.01' });
    expect(report).toMatchObject({ rows: part.length, created: part.length, failed: 0 });
    expect(lines).toHaveLength(19_406);
    const { body } = await plane.call('GET', '/api/products/1399');
    expect(body).toMatchObject({ price: 125.95, currency: 'USD', brand: 'HP' });
    await plane.agrees(120_000);
    // Right behind 19,000 changes the search may say that it is overloaded.
    await eventually(async () => (await searchSkus('q=notebook&limit=5')).length === 5);
  }, 240_000);
});
