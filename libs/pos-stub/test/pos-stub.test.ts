import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { sampleProduct, signatureOf, startPosStub, stubCredentials } from '../src/index.ts';
import type { PosStub } from '../src/index.ts';

const { clientId, clientSecret, retailer } = stubCredentials;
const anyObject = z.record(z.string(), z.unknown());
const listSchema = z.looseObject({ total: z.int(), data: z.array(z.looseObject({ id: z.int(), modifiedDate: z.string() })), removeId: z.array(z.int()).optional() });
let stub: PosStub;
let token = '';

beforeAll(async () => {
  stub = await startPosStub({ products: 120, hourlyLimit: 40 });
  const body = new URLSearchParams({ scopes: 'PublicApi.Access', grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret });
  const answer = await fetch(stub.tokenUrl, { method: 'POST', body });
  token = z.object({ access_token: z.string(), expires_in: z.literal(86_400), token_type: z.literal('Bearer') }).parse(await answer.json()).access_token;
});
afterAll(() => stub.close());

const get = (path: string, headers: Record<string, string> = {}) => fetch(stub.url + path, { headers: { authorization: `Bearer ${token}`, retailer, ...headers }, redirect: 'manual' });
const list = async (path: string) => listSchema.parse(await (await get(path)).json());

describe('the stub of the POS', () => {
  it('gives no token for a wrong secret, and answers nobody without a token and the name of the shop', async () => {
    const refused = await fetch(stub.tokenUrl, { method: 'POST', body: new URLSearchParams({ scopes: 'PublicApi.Access', grant_type: 'client_credentials', client_id: clientId, client_secret: 'x' }) });
    expect([refused.status, await refused.json()]).toEqual([400, { error: 'invalid_client' }]);
    expect((await get('/products', { authorization: 'Bearer x' })).status).toBe(401);
    expect((await get('/products', { retailer: 'another' })).status).toBe(401);
  });

  it('pages by currentItem and pageSize, 20 by default and 100 at most', async () => {
    expect((await list('/products')).data).toHaveLength(20);
    const page = await list('/products?pageSize=500&currentItem=50');
    expect([page.total, page.data.length, page.data[0]?.id]).toEqual([120, 70, sampleProduct(51).id]);
  });

  it('tells what changed and what was removed since a time, in local time of Vietnam', async () => {
    await fetch(`${stub.url}/_stub/products/SP000007`, { method: 'PUT', body: JSON.stringify({ basePrice: 1 }) });
    await fetch(`${stub.url}/_stub/products/SP000008`, { method: 'DELETE' });
    const changed = await list('/products?lastModifiedFrom=2024-11-01T00:00:00&includeRemoveIds=true');
    expect([changed.data.map(({ id }) => id), changed.removeId]).toEqual([[1_007], [1_008]]);
    expect((await get('/products/1008')).status).toBe(404);
    expect((await get('/products/code/SP000007')).status).toBe(200);
  });

  it('signs what it tells a webhook, and tells stock apart from products', async () => {
    const told: { action: string; isSigned: boolean }[] = [];
    const server = createServer((req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk: Buffer) => void chunks.push(chunk));
      req.on('end', () => {
        const body = Buffer.concat(chunks);
        const parsed = z.object({ Notifications: z.array(z.looseObject({ Action: z.string() })) }).parse(JSON.parse(body.toString()));
        told.push({ action: parsed.Notifications[0]?.Action ?? '', isSigned: req.headers['x-hub-signature'] === `sha256=${signatureOf(body, 'c2VjcmV0')}` });
        res.end();
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/`;
    for (const type of ['product.update', 'stock.update']) await fetch(`${stub.url}/webhooks`, { method: 'POST', headers: { authorization: `Bearer ${token}`, retailer }, body: JSON.stringify({ Webhook: { Type: type, Url: url, Secret: 'c2VjcmV0' } }) });
    await fetch(`${stub.url}/_stub/products/SP000001`, { method: 'PUT', body: JSON.stringify({ name: 'x' }) });
    await fetch(`${stub.url}/_stub/products/SP000001`, { method: 'PUT', body: JSON.stringify({ inventories: [{ branchId: 1, onHand: 3 }] }) });
    server.close();
    expect(told).toEqual([{ action: 'product.update.500001', isSigned: true }, { action: 'stock.update.500001', isSigned: true }]);
  });

  it.each([['unauthorized', 401], ['too_many', 429], ['error', 500], ['unavailable', 503], ['refused', 420], ['redirect', 302], ['broken', 200], ['wrong', 200], ['html', 200]] as const)('answers %s by %i, as many times as it is told', async (mode, status) => {
    stub.setWeather({ mode, times: 1 });
    expect((await get('/branches')).status).toBe(status);
    expect((await get('/branches')).status).toBe(200);
  });

  it('answers 429 to the first GET above the limit of an hour', async () => {
    while (stub.hours.most < 40) await get('/branches');
    const answer = await get('/branches');
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '60']);
    expect(anyObject.parse(await (await fetch(`${stub.url}/_stub/state`)).json())['most_gets_in_an_hour']).toBe(40);
  });
});
