import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createPool } from '../../libs/database/src/index.ts';
import { eventually, uniqueName } from '../../libs/testing/src/index.ts';
import type { Plane } from './support/plane.ts';
import { startPlane } from './support/plane.ts';

let plane: Plane;
beforeAll(async () => { plane = await startPlane(); }, 120_000);
afterAll(() => plane.stop(), 30_000);

const rows = async (eventIds: readonly unknown[]): Promise<readonly Record<string, unknown>[]> => {
  const pool = createPool({ url: plane.stack.env['DATABASE_URL'] ?? '', name: 'e2e', max: 1 });
  try {
    return (await pool.query<Record<string, unknown>>('select user_id, asin, event_type, metadata, month::text as month from events.interaction_logs where event_id = any($1)', [eventIds])).rows;
  } finally {
    await pool.end();
  }
};

describe('events through the gateway', () => {
  it('are in the context at once and in Postgres soon, with what the catalogue says of the product', async () => {
    const sku = uniqueName('sku');
    await plane.call('POST', '/api/products', { sku, name: 'lamp', category: 'Lamps', brand: 'Đèn Việt' });
    await eventually(async () => {
      const { body } = await plane.call('POST', '/api/event', { user_id: 123, asin: sku, event_type: 'view', metadata: {} });
      expect(body).toMatchObject({ success: true, message: 'Event logged: view', context: 'live' });
      const context = await plane.call('GET', '/api/users/123/context');
      expect(context.body).toMatchObject({ user_id: '123', recent_items: [{ asin: sku }] });
      const stored = await eventually(async () => (await rows([body['event_id']]))[0]);
      expect(stored).toMatchObject({ user_id: '123', asin: sku, event_type: 'view' });
      // The catalogue's news may come a moment after the first event.
      return JSON.stringify(stored['metadata']) === JSON.stringify({ brand: 'Đèn Việt', category: 'Lamps' });
    });
  });

  it('of any month land, made by the role of the service', async () => {
    const { body } = await plane.call('POST', '/api/event', { user_id: 'history', asin: 'old', event_type: 'purchase', timestamp: '2011-03-04T05:06:07Z' });
    expect(await eventually(async () => (await rows([body['event_id']]))[0])).toMatchObject({ month: '2011-03-01' });
  });

  it('come as a packed list, too', async () => {
    const lines = Array.from({ length: 300 }, (_, n) => JSON.stringify({ user_id: n, asin: 'x', event_type: 'click', event_id: `packed-${n}` })).join('\n');
    const answer = await fetch(`${plane.stack.gatewayUrl}/api/events`, { method: 'POST', headers: { 'x-api-key': plane.stack.apiKey, 'content-type': 'application/x-ndjson' }, body: new Uint8Array(gzipSync(lines)) });
    expect(await answer.json()).toMatchObject({ accepted: 300, failed: 0 });
    await eventually(async () => (await rows(Array.from({ length: 300 }, (_, n) => `packed-${n}`))).length === 300);
  });

  it('of an anonymous id become those of the user that it is merged into', async () => {
    await plane.call('POST', '/api/event', { user_id: 'anon:e2e', asin: 'a', event_type: 'view' });
    expect((await plane.call('POST', '/api/users/member/merge', { from: 'anon:e2e' })).body).toMatchObject({ user_id: 'member', from: 'anon:e2e' });
    expect((await plane.call('GET', '/api/users/anon:e2e/context')).body).toMatchObject({ user_id: 'member', recent_items: [{ asin: 'a' }] });
  });

  it('are what the counts of recommendations are rebuilt from, beside the live ones', async () => {
    for (const asin of ['r-1', 'r-2', 'r-3']) await plane.call('POST', '/api/event', { user_id: 'rebuilt', asin, event_type: 'purchase' });
    const rebuilds = async () => {
      const { body } = await plane.call('GET', '/api/admin/recommendations/counts');
      return (body['rebuilds'] ?? []) as { id: number; reason: string; generation: string | null; events: number; drift: Record<string, number> | null }[];
    };
    // The first one comes by itself.
    const first = await eventually(async () => (await rebuilds()).find(({ generation }) => generation !== null), { timeoutMs: 20_000 });
    expect(first.reason).toBe('first');
    expect((await plane.call('POST', '/api/admin/recommendations/rebuild')).status).toBe(202);
    const rebuilt = await eventually(async () => (await rebuilds()).find(({ id, generation }) => id > first.id && generation !== null), { timeoutMs: 20_000 });
    expect(rebuilt.reason).toBe('manual');
    expect(rebuilt.events).toBeGreaterThan(300);
    expect(rebuilt.drift).toMatchObject({ baskets: 0, buyers: 0, views: 0 });
  });
});
