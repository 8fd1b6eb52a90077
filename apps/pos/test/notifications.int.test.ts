import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { WEBHOOK_SECRET, startPlane } from './pos-kit.ts';
import type { Answer, Instance, Plane } from './pos-kit.ts';

let plane: Plane;
let instance: Instance;
beforeEach(async () => {
  plane = await startPlane({ products: 20 });
  instance = await plane.start();
  // After a run that failed no other one is begun for notifications for a minute.
  const { status, text } = await instance.call('POST', '/api/pos/sync');
  if (status !== 200) throw new Error(text);
});
afterEach(() => plane.close());

const sign = (body: string | Buffer, secret = WEBHOOK_SECRET): string => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
const notify = (body: string, headers: Record<string, string> = { 'x-hub-signature': sign(body) }): Promise<Answer> => instance.call('POST', '/api/pos/webhooks/kiotviet', { body, headers: { 'content-type': 'application/json', ...headers } });
const update = (id: string, productId: number, price = 1): string => JSON.stringify({ Id: id, Attempt: 1, Notifications: [{ Action: 'product.update.500001', Data: [{ Id: productId, Code: 'whatever', BasePrice: price }] }] });

describe('notifications of the POS', () => {
  it('lead to the product as the POS has it, not as they say', async () => {
    await plane.shop('PUT', 'SP000007', { basePrice: 77_000 });
    const answer = await notify(update('n-1', 1_007, 1));
    expect([answer.status, answer.body]).toEqual([200, { accepted: true, products: 1 }]);
    await eventually(() => plane.catalogue.products.get('SP000007')?.price === 77_000);
  });

  it('are answered again and do nothing when they come again, whatever the order', async () => {
    const gets = plane.stub.seen.get('GET /products/{id}') ?? 0;
    await notify(update('n-2', 1_007));
    await eventually(() => (plane.stub.seen.get('GET /products/{id}') ?? 0) === gets + 1);
    const again = await Promise.all([1, 2, 3, 4].map(() => notify(update('n-2', 1_007).replace('"Attempt":1', '"Attempt":2'))));
    expect([again.map(({ status, body }) => [status, body['accepted']]), plane.stub.seen.get('GET /products/{id}')]).toEqual([Array.from({ length: 4 }, () => [200, false]), gets + 1]);
  });

  it('of stock and of deletions are followed, also of a product that comes in ten notifications at once', async () => {
    await plane.shop('PUT', 'SP000003', { inventories: [{ branchId: 1, onHand: 2 }] });
    await plane.shop('DELETE', 'SP000004');
    await notify(JSON.stringify({ Id: 'n-3', Notifications: [{ Action: 'stock.update.500001', Data: [{ ProductId: 1_003, BranchId: 1, OnHand: 99 }] }, { Action: 'product.delete.500001', Data: [1_004] }] }));
    await eventually(() => plane.catalogue.products.get('SP000003')?.stock === 2 && !plane.catalogue.products.has('SP000004'));
    await plane.shop('DELETE', 'SP000005');
    // As the documentation has deletions: without an id, and without a word of what was deleted.
    await Promise.all(Array.from({ length: 10 }, (_none, at) => notify(JSON.stringify({ RemoveId: [1_005, 9_999_999, at] }))));
    await eventually(() => !plane.catalogue.products.has('SP000005'));
  });

  it('are refused by 401 with another signature, none, or a body that was changed on the way', async () => {
    const body = update('n-4', 1_007);
    const refused = await Promise.all([notify(body, {}), notify(body, { 'x-hub-signature': sign(body, 'another-secret') }), notify(`${body} `, { 'x-hub-signature': sign(body) })]);
    expect(refused.map(({ status, body: problem }) => [status, problem['code']])).toEqual(Array.from({ length: 3 }, () => [401, 'unauthenticated']));
    expect((await plane.pool.query(`select from pos.notifications where id = 'id:n-4'`)).rowCount).toBe(0);
  });

  it.each(['', 'rubbish', '[]', '{"Id":5,"Notifications":"x"}', '{"Notifications":[{"Action":"customer.update.1","Data":[{"Id":1,"Name":"An"}]}]}', '{"Notifications":[{"Action":"product.update.1","Data":{"Id":-1}}]}'])('of a form that nobody knows are answered 200, so that KiotViet goes on sending: %s', async (body) => {
    expect((await notify(body)).body).toEqual({ accepted: true, products: 0 });
  });

  it('leave nothing of people behind, in Postgres or in the log', async () => {
    await notify(JSON.stringify({ Id: 'n-5', Notifications: [{ Action: 'customer.update.500001', Data: [{ Id: 5_001, Name: 'Nguyễn Văn An', ContactNumber: '0912345001' }] }] }));
    const { rows } = await plane.pool.query<{ text: string }>(`select string_agg(n::text, '') || coalesce((select string_agg(h::text, '') from pos.hints h), '') as text from pos.notifications n`);
    expect(`${rows[0]?.text ?? ''}${instance.logs.join('')}`).not.toMatch(/Nguyễn|0912345001/);
  });

  it('that were written down are followed by another instance after a kill', async () => {
    await instance.close();
    await plane.shop('PUT', 'SP000007', { basePrice: 55_000 });
    await plane.pool.query('insert into pos.hints (pos_id) values (1007)');
    await plane.start();
    await eventually(() => plane.catalogue.products.get('SP000007')?.price === 55_000);
    await eventually(async () => (await plane.pool.query('select from pos.hints')).rowCount === 0);
  });

  it('wait while the POS is down, and are followed when it is back', async () => {
    await plane.shop('PUT', 'SP000007', { basePrice: 66_000 });
    plane.stub.setWeather({ mode: 'error' });
    await notify(update('n-6', 1_007));
    await eventually(async () => (await plane.pool.query('select from pos.hints where attempts > 0')).rowCount === 1);
    plane.stub.setWeather({ mode: 'fine' });
    await plane.pool.query('update pos.hints set next_at = now()');
    await eventually(() => plane.catalogue.products.get('SP000007')?.price === 66_000);
  });

  it('wait while the catalogue is down, without asking the POS over and over', async () => {
    await plane.shop('PUT', 'SP000007', { basePrice: 44_000 });
    plane.catalogue.before = () => { throw new Error('down'); };
    const before = plane.stub.hours.total;
    await notify(update('n-8', 1_007));
    await eventually(async () => (await plane.pool.query('select from pos.hints where attempts > 0')).rowCount === 1);
    plane.catalogue.before = undefined;
    expect(plane.stub.hours.total - before).toBe(1);
    await plane.pool.query('update pos.hints set next_at = now()');
    await eventually(() => plane.catalogue.products.get('SP000007')?.price === 44_000);
  });

  it('by the hundred that come while others are followed become one run, too', async () => {
    await plane.shop('PUT', 'SP000007', { basePrice: 33_000 });
    plane.catalogue.before = async () => {
      plane.catalogue.before = undefined;
      await plane.pool.query('insert into pos.hints (pos_id, next_at) select n, now() from generate_series(1001, 1250) n on conflict do nothing');
    };
    await notify(update('n-9', 1_007));
    await eventually(async () => (await plane.pool.query(`select from pos.runs where requested_by = 'notifications' and state = 'done'`)).rowCount === 1 && (await plane.pool.query('select from pos.hints')).rowCount === 0);
    expect(plane.stub.seen.get('GET /products/{id}') ?? 0).toBeLessThan(50);
  });

  it('by the hundred become one run instead of a call each', async () => {
    await plane.pool.query('insert into pos.hints (pos_id, next_at) select n, now() from generate_series(1001, 1250) n');
    await eventually(async () => (await plane.pool.query(`select from pos.runs where requested_by = 'notifications' and state = 'done'`)).rowCount === 1 && (await plane.pool.query('select from pos.hints')).rowCount === 0);
    expect(plane.stub.seen.get('GET /products/{id}') ?? 0).toBeLessThan(50);
  });
});

describe('without a secret for notifications', () => {
  it('they are answered by 503, and nothing is written down', async () => {
    const open = await plane.start({ KIOTVIET_WEBHOOK_SECRET: undefined });
    const body = update('n-7', 1_007);
    const answer = await open.call('POST', '/api/pos/webhooks/kiotviet', { body, headers: { 'x-hub-signature': sign(body) } });
    expect([answer.status, answer.body['code'], (await plane.pool.query('select from pos.notifications')).rowCount]).toEqual([503, 'pos_not_configured', 0]);
  });
});
