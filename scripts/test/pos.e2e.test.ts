import { createHmac, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startPosStub } from '../../libs/pos-stub/src/index.ts';
import type { PosStub } from '../../libs/pos-stub/src/index.ts';
import { eventually } from '../../libs/testing/src/index.ts';
import type { Answer, Plane } from './support/plane.ts';
import { NOT_CACHED, startPlane } from './support/plane.ts';

const SECRET = 'secret-of-webhooks';
let plane: Plane;
let stub: PosStub;
beforeAll(async () => {
  stub = await startPosStub({ products: 230 });
  plane = await startPlane({
    KIOTVIET_API_URL: stub.url, KIOTVIET_TOKEN_URL: stub.tokenUrl, KIOTVIET_CLIENT_ID: stub.credentials.clientId, KIOTVIET_CLIENT_SECRET: stub.credentials.clientSecret, KIOTVIET_RETAILER: stub.credentials.retailer,
    POS_ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`, KIOTVIET_WEBHOOK_SECRET: SECRET, POS_CHECK_MS: '100', POS_LEASE_MS: '1000',
  }, { apps: ['gateway', 'catalog-api', 'es-sync-worker', 'pos'] });
});
afterAll(async () => {
  await plane.stop();
  await stub.close();
});

const product = (sku: string): Promise<Answer> => plane.call('GET', `/api/products/${sku}`, undefined, NOT_CACHED);

describe('the point of sale through the gateway', () => {
  it('is shown, and taken over into the catalogue, where search finds it', async () => {
    expect((await plane.call('GET', '/api/pos/status')).body).toMatchObject({ configured: true, retailer: 'quancaphe' });
    expect((await plane.call('POST', '/api/pos/sync?dry_run=true')).body).toMatchObject({ dry_run: true, counts: { created: 230 } });
    expect((await plane.call('POST', '/api/pos/sync')).status).toBeLessThan(300);
    await eventually(async () => {
      expect((await plane.call('GET', '/api/pos/status')).body).toMatchObject({ sync: { run: { state: 'done', counts: { created: 230, refused: 0 } } } });
      return true;
    });
    expect((await product('SP000007')).body).toMatchObject({ price: 22_000, currency: 'VND', stock: 28, status: 'active' });
    await eventually(async () => JSON.stringify((await plane.call('GET', '/api/search?q=%E1%BA%A4m%20si%C3%AAu%20t%E1%BB%91c%20203', undefined, NOT_CACHED)).body).includes('SP000203'));
  });

  it('goes on after the service was killed in the middle of a run', async () => {
    for (const [id, one] of stub.shop.products) stub.shop.products.set(id, { ...one, basePrice: one.basePrice + 500, modifiedMs: one.modifiedMs + 86_400_000 });
    const pos = plane.stack.app('pos');
    stub.setWeather({ mode: 'slow', delay_ms: 300, path: '/products' });
    const before = stub.seen.get('GET /products') ?? 0;
    const asked = await plane.call('POST', '/api/pos/sync?wait_seconds=0');
    expect(asked.status).toBe(202);
    await eventually(() => (stub.seen.get('GET /products') ?? 0) > before);
    await pos.kill('SIGKILL');
    stub.setWeather({ mode: 'fine' });
    await pos.restart();
    await eventually(async () => {
      const { body } = await plane.call('GET', '/api/pos/status');
      expect(body).toMatchObject({ sync: { run: { state: 'done' } } });
      return true;
    });
    expect([(await product('SP000001')).body['price'], (await product('SP000230')).body['price']]).toEqual([16_500, 15_000 + (230 % 97) * 1_000 + 500]);
  });

  it('tells what changed by signed notifications, without a key, and nobody else can', async () => {
    await fetch(`${stub.url}/_stub/products/SP000007`, { method: 'PUT', body: JSON.stringify({ basePrice: 12_000 }) });
    const body = JSON.stringify({ Id: 'e2e-1', Attempt: 1, Notifications: [{ Action: 'product.update.500001', Data: [{ Id: 1_007 }] }] });
    const send = (signature: string) => fetch(`${plane.stack.gatewayUrl}/api/pos/webhooks/kiotviet`, { method: 'POST', body, headers: { 'content-type': 'application/json', 'x-hub-signature': signature } });
    expect((await send(`sha256=${'0'.repeat(64)}`)).status).toBe(401);
    const answer = await send(`sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`);
    expect([answer.status, await answer.json()]).toEqual([200, { accepted: true, products: 1 }]);
    await eventually(async () => (await product('SP000007')).body['price'] === 12_000);
  });

  it('is a problem with its own code where it fails, and the gateway answers on', async () => {
    stub.setWeather({ mode: 'error' });
    const answer = await plane.call('GET', '/api/pos/customers');
    expect([answer.status, answer.body['code']]).toEqual([502, 'pos_unavailable']);
    expect((await product('SP000007')).status).toBe(200);
    stub.setWeather({ mode: 'fine' });
  });
});
