import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { posStatusSchema, problemSchema } from '@millrace/contracts';
import { eventually } from '@millrace/testing';
import { configSchema } from '../src/config.ts';
import { startPlane } from './pos-kit.ts';
import type { Instance, Plane } from './pos-kit.ts';

let plane: Plane;
let instance: Instance;
beforeAll(async () => {
  plane = await startPlane({ products: 45 });
  instance = await plane.start();
});
afterEach(() => plane.stub.setWeather({ mode: 'fine' }));
afterAll(() => plane.close());

const list = async (path: string, on = instance): Promise<{ data: Record<string, unknown>[]; page: Record<string, unknown> }> => {
  const { status, body, text } = await on.call('GET', path);
  if (status !== 200) throw new Error(text);
  return body as { data: Record<string, unknown>[]; page: Record<string, unknown> };
};

describe('lists of the POS', () => {
  it('come by pages, in our names, with stock where it is asked for', async () => {
    const first = await list('/api/pos/products?limit=40&include_stock=true');
    expect([first.data.length, first.page, first.data[6]]).toMatchObject([40, { next: 40, total: 45 }, { id: 1_007, sku: 'SP000007', price: '22000', stock: 28, branches: [{ branch_id: 1, on_hand: 7, reserved: 0 }, { branch_id: 2, on_hand: 21, reserved: 1 }] }]);
    const last = await list('/api/pos/products?limit=40&offset=40');
    expect([last.data.length, last.page, last.data[0]?.['stock']]).toMatchObject([5, { next: null }, null]);
    expect((await list('/api/pos/products?modified_since=2024-10-01T01:40:00Z')).page['total']).toBe(6);
    expect((await list('/api/pos/branches')).data.map(({ name }) => name)).toEqual(['Chi nhánh trung tâm', 'Chi nhánh Thủ Đức']);
    expect((await list('/api/pos/categories')).data).toHaveLength(4);
  });

  it('hide people, unless the scope allows and unmask is asked for, which is written down', async () => {
    const masked = JSON.stringify([await list('/api/pos/customers'), await list('/api/pos/invoices')]);
    for (const personal of ['Nguyễn', 'Bích', '0912345', 'khach1@', 'Nguyễn Trãi', 'Thu ngân', '1990-05-17']) expect(masked).not.toContain(personal);
    expect((await instance.call('GET', '/api/pos/customers?unmask=true')).status).toBe(403);
    expect((await plane.pool.query('select from pos.pii_reads')).rowCount).toBe(0);
    const trusted = await plane.start(undefined, ['pos:read', 'pii:read']);
    expect(JSON.stringify(await list('/api/pos/customers', trusted))).not.toContain('0912345');
    expect((await list('/api/pos/customers?unmask=true&code=KH000001', trusted)).data).toMatchObject([{ name: 'Trần Thị Bích', phone: '0912345001' }]);
    expect((await list('/api/pos/invoices?unmask=true&limit=1', trusted)).data).toMatchObject([{ customer: 'Trần Thị Bích', delivery: { phone: '0912345001' } }]);
    expect((await plane.pool.query('select subject, operation, rows from pos.pii_reads order by id')).rows).toEqual([{ subject: 'key_1', operation: 'listPosCustomers', rows: 1 }, { subject: 'key_1', operation: 'listPosInvoices', rows: 1 }]);
    expect([...instance.logs, ...trusted.logs].join('')).not.toMatch(/Bích|0912345/);
  });

  it.each([
    ['unauthorized', 502, 'pos_unauthorized'], ['error', 502, 'pos_unavailable'], ['unavailable', 502, 'pos_unavailable'], ['slow', 504, 'pos_timeout'], ['hang', 504, 'pos_timeout'], ['huge', 502, 'pos_bad_answer'], ['broken', 502, 'pos_bad_answer'],
    ['cut', 502, 'pos_unavailable'], ['wrong', 502, 'pos_bad_answer'], ['html', 502, 'pos_bad_answer'], ['refused', 502, 'pos_refused'], ['redirect', 502, 'pos_bad_answer'], ['too_many', 503, 'pos_quota'],
  ] as const)('and a run, in the weather %s, are answered by %i %s as a problem', async (mode, status, code) => {
    // Any instance takes a run up: where it is one's own time that ends, there is no other.
    const isSlow = mode === 'slow' || mode === 'hang';
    const own = isSlow ? await startPlane({ products: 45 }) : plane;
    const fresh = await own.start(isSlow ? { POS_TIMEOUT_MS: '1000' } : { CACHE_ENABLED: 'true' });
    own.stub.setWeather({ mode, delay_ms: 1_500, bytes: 16_777_216, retry_after_s: 1 });
    for (const [method, path] of [['GET', '/api/pos/customers'], ['GET', '/api/pos/invoices'], ['POST', '/api/pos/sync'], ['POST', '/api/pos/sync?dry_run=true']] as const) {
      const answer = await fresh.call(method, path);
      const problem = problemSchema.parse(answer.body);
      // A run among them finds the POS left alone after five failures.
      expect([answer.status, [code, ...(status === 504 ? ['pos_unavailable'] : [])].includes(problem.code) || problem.code]).toEqual([problem.code === code ? status : 502, true]);
      expect(answer.headers.get('content-type')).toContain('application/problem+json');
    }
    expect([own.catalogue.writes.length, (await fresh.call('GET', '/api/pos/status')).status, own.stub.hours.most <= 5_000]).toEqual([0, 200, true]);
    if (isSlow) return await own.close();
    await fresh.close();
    plane.stub.setWeather({ mode: 'fine' });
    if (mode === 'too_many') await eventually(async () => (await instance.call('GET', '/api/pos/customers')).status === 200);
  });

  it('leave others than the key that asks half of the calls that are for callers', async () => {
    const small = await startPlane({ products: 1 });
    const one = await small.start({ KIOTVIET_HOURLY_LIMIT: '10' });
    const said = [];
    for (let at = 0; at < 6; at += 1) said.push(await one.call('GET', `/api/pos/customers?offset=${at}`));
    expect(said.map(({ status }) => status)).toEqual([200, 200, 200, 200, 503, 503]);
    expect(problemSchema.parse(said.at(-1)?.body)).toMatchObject({ code: 'pos_quota', detail: expect.stringContaining('your part of the calls') });
    await small.close();
  });

  it('are answered while caches are off', async () => {
    const off = await plane.start({ CACHE_ENABLED: 'false' });
    expect([(await list('/api/pos/products', off)).data.length, posStatusSchema.parse((await off.call('GET', '/api/pos/status')).body).caches]).toEqual([20, false]);
  });

  it.each(['?limit=0', '?limit=101', '?offset=-1', '?modified_since=yesterday', '?colour=red'])('refuse a question that is not one: %s', async (query) => {
    const answer = await instance.call('GET', `/api/pos/products${query}`);
    expect([answer.status, answer.body['code']]).toEqual([400, 'invalid_request']);
  });
});

describe('the status of the POS', () => {
  it('tells connection, token, budget and runs, and no secret', async () => {
    await list('/api/pos/customers');
    const answer = await instance.call('GET', '/api/pos/status');
    const status = posStatusSchema.parse(answer.body);
    expect(status).toMatchObject({ configured: true, retailer: 'quancaphe', connection: { state: 'ok' }, token: { key_id: 'k1' }, webhooks: { configured: true } });
    expect(status.budget?.remaining).toBe((status.budget?.limit ?? 0) - (status.budget?.used ?? 0));
    for (const secret of [plane.stub.credentials.clientSecret, 'a-secret-of-webhooks']) expect(answer.text).not.toContain(secret);
  });

  it('is there where no POS is connected; everything else says 503 pos_not_configured', async () => {
    const none = await plane.start({ UNCONFIGURED: '' });
    expect(posStatusSchema.parse((await none.call('GET', '/api/pos/status')).body)).toMatchObject({ configured: false, retailer: null, connection: null, token: null, budget: null });
    for (const [method, path] of [['GET', '/api/pos/products'], ['GET', '/api/pos/customers'], ['POST', '/api/pos/sync'], ['POST', '/api/pos/sync?dry_run=true'], ['POST', '/api/pos/webhooks/kiotviet']] as const) {
      const answer = await none.call(method, path);
      expect([path, answer.status, answer.body['code']]).toEqual([path, 503, 'pos_not_configured']);
    }
  });

  it('is not needed to be complete: half a configuration is refused by name, without values', () => {
    const given = { INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-', POS_DATABASE_URL: 'postgres://x', KIOTVIET_CLIENT_ID: 'abc', POS_ENCRYPTION_KEYS: 'k1:short' };
    const parsed = configSchema.safeParse(given);
    expect(parsed.error?.issues.map(({ path }) => path.join()).toSorted()).toEqual(['KIOTVIET_CLIENT_SECRET', 'KIOTVIET_RETAILER', 'POS_ENCRYPTION_KEYS']);
    expect(JSON.stringify(parsed.error?.issues)).not.toContain('short');
    expect(configSchema.safeParse({ ...given, POS_ENCRYPTION_KEYS: undefined }).error?.issues.map(({ path }) => path.join()).toSorted()).toEqual(['KIOTVIET_CLIENT_SECRET', 'KIOTVIET_RETAILER', 'POS_ENCRYPTION_KEYS']);
  });
});
