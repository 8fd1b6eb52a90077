import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { openResponseCache } from '@millrace/cache';
import type { OpenResponseCache } from '@millrace/cache';
import { alsoBoughtProducts, getProduct, getProductPage, operations, productPageSchema, similarProducts } from '@millrace/contracts';
import type { ProductPagePart } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually, testServer, uniqueName } from '@millrace/testing';
import { cachePolicy } from '../src/cache/cache-policy.ts';
import { tags } from '../src/cache/cached-operations.ts';
import { limitRules } from '../src/limits/limit-table.ts';
import { pageRoutes } from '../src/pages/page.routes.ts';
import { partRules } from '../src/pages/product-page.ts';
import { createUpstream } from '../src/proxy.ts';
import type { Upstream } from '../src/proxy.ts';
import { openResilience } from '../src/resilience/open-resilience.ts';
import { routeTable } from '../src/route-table.ts';
import { startUnreliableService } from './unreliable-service.ts';
import type { Behaviour, UnreliableService } from './unreliable-service.ts';

const PATIENT_MS = 20_000;
/** Of the parts that hang. */
let timeoutsMs: Partial<Record<ProductPagePart, number>> = {};
const rules = Object.fromEntries(Object.entries(partRules).map(([name, rule]) => [name, Object.defineProperty({ ...rule }, 'timeoutMs', { get: () => timeoutsMs[name as ProductPagePart] ?? PATIENT_MS })])) as typeof partRules;
const logger = createLogger('test', 'silent');
const served = operations.filter(({ service }) => service === 'catalog-api' || service === 'recommender');
const json = (body: unknown): Behaviour => ({ status: 200, body: JSON.stringify(body) });
const problem = (status: number, code: string): Behaviour => ({ status, headers: { 'content-type': 'application/problem+json' }, body: JSON.stringify({ type: `urn:millrace:problem:${code}`, title: 'x', status, code, detail: `says ${code}` }) });
const page = { similar: similarProducts.responses[200].example, also: alsoBoughtProducts.responses[200].example };
const product = (sku: string, stock: number) => ({ ...getProduct.responses[200].example, sku, stock });

let [catalog, recommender]: UnreliableService[] = [];
let [cache, server]: [OpenResponseCache?, HttpServer?] = [];
let upstreams: Readonly<Record<string, Upstream>> = {};
let scopes: readonly string[] = [];
/** What the services say; undefined: as they should. */
const says: { product?: Behaviour | undefined; similar?: Behaviour | undefined; also?: Behaviour | undefined } = {};
let stock = 12;

beforeAll(async () => {
  [catalog, recommender] = await Promise.all([startUnreliableService(), startUnreliableService()]);
  catalog.behave((_n, { url = '' }) => {
    const [path = ''] = url.split('?');
    return path.endsWith('/similar') ? (says.similar ?? json(page.similar)) : (says.product ?? json(product(decodeURIComponent(path.split('/')[3] ?? ''), stock)));
  });
  recommender.behave(() => says.also ?? json(page.also));
  const metrics = createMetrics('test');
  cache = openResponseCache({ url: testServer('redis'), name: uniqueName('cache'), registry: metrics, logger, timeoutMs: 20_000 });
  await eventually(async () => (await cache?.state())?.isUsable);
  const resilience = openResilience({ operations: served, retryPercent: 0, logger, metrics, breaker: { size: 20, minimum: 10, halfOpenAfterMs: 600_000 } });
  const policies = [cachePolicy({ cache, searches: { given: () => undefined } }, served), resilience.policy];
  upstreams = { 'catalog-api': createUpstream('catalog-api', catalog.url), recommender: createUpstream('recommender', recommender.url) };
  const signer = { sign: async () => '' };
  const authenticate = async () => ({ id: 'key', kind: 'secret' as const, workspaceId: 'default', scopes, isDevelopment: false });
  const routes = routeTable({ operations: [...served, getProductPage], upstreams, local: pageRoutes({ upstreams, signer, policies, metrics, rules }), policies, authenticate, logger, signer, audit: async () => undefined });
  server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await server?.close(0);
  await Promise.all([catalog?.kill(), recommender?.kill()]);
  await Promise.all(Object.values(upstreams).map((upstream) => upstream.close()));
  await cache?.close();
});
beforeEach(() => {
  Object.assign(says, { product: undefined, similar: undefined, also: undefined });
  scopes = ['products:read', 'search:read'];
  stock = 12;
  timeoutsMs = {};
});

interface Page { readonly complete: boolean; readonly parts: Readonly<Record<string, { readonly status: string; readonly data: Record<string, unknown> | null; readonly detail: string | null; readonly age_seconds: number | null }>> }
const get = async (sku: string, query = '', headers: Record<string, string> = {}) => {
  const answer = await fetch(`http://127.0.0.1:${server?.port ?? 0}/api/pages/product/${encodeURIComponent(sku)}${query}`, { headers });
  const body = await answer.json() as Page & { readonly code?: string };
  const status = Object.fromEntries(Object.entries(body.parts ?? {}).map(([name, part]) => [name, part.status]));
  return { answer, body, status, code: answer.status };
};
const calls = () => (catalog?.calls.length ?? 0) + (recommender?.calls.length ?? 0);

describe('the product page', () => {
  it('has the whole page in one call, as its contract says', async () => {
    const sku = `${uniqueName('sku')} ü?/x`.replace('/', '');
    const { code, body, answer } = await get(sku);
    expect([code, answer.headers.get('cache-control')]).toEqual([200, 'private, no-cache']);
    expect(productPageSchema.parse(body)).toEqual(body);
    expect(body).toMatchObject({ sku, complete: true, parts: { product: { status: 'ok', data: { sku } }, similar: { data: page.similar }, also_bought: { data: page.also }, stock: { data: { stock: 12, in_stock: true } } } });
  });
  it('asks with the parameters of the parts, and takes only the parts that are wanted', async () => {
    const before = calls();
    expect((await get(uniqueName('sku'), '?parts=similar,also_bought&limit=3')).status).toEqual({ similar: 'ok', also_bought: 'ok' });
    expect(calls() - before).toBe(2);
    expect([catalog?.calls.at(-1)?.url, recommender?.calls.at(-1)?.url]).toEqual([expect.stringMatching(/\/similar\?limit=3$/), expect.stringMatching(/\/also-bought\?limit=3$/)]);
    expect((await get(uniqueName('sku'), '?parts=stock&parts=stock')).status).toEqual({ stock: 'ok' });
  });
  it.each(['?parts=price', '?parts=', '?limit=0', '?limit=51', '?part=stock'])('refuses %s with a pointer, asking nobody', async (query) => {
    const before = calls();
    const { code, body } = await get('a', query);
    expect([code, body, calls()]).toMatchObject([400, { code: 'invalid_request', pointer: expect.stringContaining('/') }, before]);
  });
  it('takes product and similar from the cache that their own operations fill, and never the stock', async () => {
    const sku = uniqueName('sku');
    await fetch(`http://127.0.0.1:${server?.port ?? 0}/api/products/${sku}`);
    stock = 3;
    const first = await get(sku);
    expect(first.body.parts).toMatchObject({ product: { data: { stock: 12 }, age_seconds: expect.any(Number) }, stock: { data: { stock: 3 }, age_seconds: null }, similar: { age_seconds: null } });
    const before = calls();
    expect((await get(sku)).body.parts).toMatchObject({ similar: { age_seconds: expect.any(Number) } });
    expect(calls() - before).toBe(2);
    await cache?.purge([tags.sku(sku)]);
    expect((await get(sku)).body.parts).toMatchObject({ product: { data: { stock: 3 } } });
  });
  it.each([
    ['silent', 'hang', 'timeout'],
    ['dead', 'die', 'unavailable'],
    ['failing', problem(500, 'internal'), 'unavailable'],
    ['answering rubbish', { status: 200, body: '<html>' }, 'unavailable'],
  ] as const)('answers the other parts where one service is %s, and tells nobody to keep that', async (_what, how, status) => {
    says.also = how;
    if (how === 'hang') timeoutsMs = { also_bought: 100 };
    const found = await get(uniqueName('sku'));
    expect([found.code, found.body.complete, found.answer.headers.get('cache-control')]).toEqual([200, false, 'no-store']);
    expect(found.status).toEqual({ product: 'ok', similar: 'ok', also_bought: status, stock: 'ok' });
    expect(found.body.parts['also_bought']).toMatchObject({ data: null, detail: expect.any(String) });
    recommender?.release();
  });
  it('answers what is there where the product itself is away', async () => {
    says.product = 'hang';
    timeoutsMs = { product: 100, stock: 100 };
    const found = await get(uniqueName('sku'));
    expect([found.code, found.status]).toEqual([200, { product: 'timeout', similar: 'ok', also_bought: 'ok', stock: 'timeout' }]);
    catalog?.release();
  });
  it('gives the last known product where its service fails, and says that of the stock nothing is known', async () => {
    const sku = uniqueName('sku');
    await get(sku);
    says.product = problem(500, 'internal');
    expect((await get(sku)).status).toMatchObject({ product: 'ok', stock: 'unavailable' });
  });
  it.each([['product and stock', ''], ['lists alone', '?parts=similar,also_bought'], ['only the stock', '?parts=stock']])('is 404 where the product does not exist: %s', async (_what, query) => {
    Object.assign(says, { product: problem(404, 'not_found'), similar: problem(404, 'not_found'), also: problem(404, 'not_found') });
    expect(await get(uniqueName('sku'), query)).toMatchObject({ code: 404, body: { code: 'not_found' } });
  });
  it('is not 404 because recommender does not know the product yet', async () => {
    says.also = problem(404, 'not_found');
    expect((await get(uniqueName('sku'))).status).toMatchObject({ product: 'ok', also_bought: 'not_found' });
    expect(await get(uniqueName('sku'), '?parts=also_bought')).toMatchObject({ code: 200, status: { also_bought: 'not_found' }, body: { complete: false } });
  });
  it('is 404 for a product that was deleted a moment ago, though the cache still has it', async () => {
    const sku = uniqueName('sku');
    await get(sku);
    says.product = problem(404, 'not_found');
    expect((await get(sku)).code).toBe(404);
  });
  it('shows a product that was created a moment ago, though the cache still knows of none', async () => {
    const sku = uniqueName('sku');
    says.product = problem(404, 'not_found');
    await get(sku);
    says.product = undefined;
    expect((await get(sku)).body.parts).toMatchObject({ product: { status: 'ok', data: { sku } }, stock: { status: 'ok' } });
  });
  it('says forbidden for the parts whose scope the caller lacks, and 403 where it lacks all of them', async () => {
    scopes = ['products:read'];
    const before = recommender?.calls.length;
    expect((await get(uniqueName('sku'))).status).toEqual({ product: 'ok', similar: 'forbidden', also_bought: 'forbidden', stock: 'ok' });
    expect((await get(uniqueName('sku'), '?parts=similar')).body).toMatchObject({ code: 'forbidden', detail: expect.stringContaining('search:read') });
    expect(recommender?.calls.length).toBe(before);
    scopes = ['search:read'];
    expect((await get(uniqueName('sku'))).code).toBe(403);
  });
  it('is 503 with Retry-After where no part can be had', async () => {
    Object.assign(says, { product: 'die', similar: 'die', also: 'die' });
    const { answer, body } = await get(uniqueName('sku'));
    expect([answer.status, body.code, answer.headers.get('retry-after')]).toEqual([503, 'unavailable', '1']);
  });
  it('costs one call of four units', () => {
    expect(limitRules['getProductPage']).toMatchObject({ limits: ['reads', 'workspace', 'user'], cost: 4 });
  });
});

describe('the cache over a breaker', () => {
  it('gives the last known answer while its service is refused, and asks nobody; a refused write changes nothing of that', async () => {
    const [written, url] = [uniqueName('sku'), `http://127.0.0.1:${server?.port ?? 0}/api/products/`];
    scopes = ['products:read', 'products:write'];
    await fetch(`${url}${written}`);
    const ask = async (sku: string) => {
      const answer = await fetch(`${url}${sku}`);
      return { status: answer.status, headers: {}, body: Buffer.from(await answer.arrayBuffer()) };
    };
    const id = uniqueName('id');
    const known = { id, operation: 'getProduct', keep: () => ({ freshMs: 1, staleIfErrorMs: 600_000, tags: ['sku:x'] }) };
    expect(await cache?.get({ ...known, fetch: () => ask(uniqueName('sku')) })).toMatchObject({ outcome: 'miss', isStored: true });
    says.product = 'die';
    await Promise.all(Array.from({ length: 25 }, () => ask(uniqueName('sku'))));
    const before = calls();
    expect((await ask(uniqueName('sku'))).status).toBe(503);
    expect(await eventually(() => cache?.get({ ...known, fetch: () => ask(uniqueName('sku')) }))).toMatchObject({ outcome: 'stale_error', answer: { status: 200 } });
    expect((await fetch(`${url}${written}/stock`, { method: 'PUT', body: '{"stock":1}', headers: { 'content-type': 'application/json' } })).status).toBe(503);
    expect((await fetch(`${url}${written}`)).headers.get('cache-status')).toContain('hit');
    expect(calls()).toBe(before);
  });
});
