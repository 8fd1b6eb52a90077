import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createPool } from '../../libs/database/src/index.ts';
import { eventually, findEverywhere, uniqueName } from '../../libs/testing/src/index.ts';
import { findInFiles } from './support/find-in-files.ts';
import type { Plane } from './support/plane.ts';
import { CATALOGUE_APPS, startPlane } from './support/plane.ts';
import { describeRecommendations } from './support/recommendation-cases.ts';
import { describeTracker } from './support/tracker-suite.ts';

let plane: Plane;
beforeAll(async () => { plane = await startPlane({}, { apps: [...CATALOGUE_APPS, 'event-ingest', 'recommender'] }); });
afterAll(() => plane.stop());

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

  it('of an erased user, and all else of it, are gone from every table, key, stream, index file and log, although services are killed meanwhile', async () => {
    const [id, alias, sku] = [uniqueName('person').replace('_', '-'), `anon:${uniqueName('person')}`, uniqueName('sku')];
    await plane.call('POST', '/api/products', { sku, name: 'kettle', category: 'Kitchen' });
    const pool = createPool({ url: plane.stack.env['DATABASE_URL'] ?? '', name: 'e2e', max: 1 });
    const redis = new Redis(plane.stack.env['REDIS_URL'] ?? '');
    try {
      for (const [user, type] of [[id, 'view'], [id, 'purchase'], [alias, 'add_to_cart']]) await plane.call('POST', '/api/event', { user_id: user, asin: sku, event_type: type });
      await plane.call('POST', '/api/event', { user_id: id, asin: sku, event_type: 'unknown' });
      await plane.call('POST', `/api/users/${id}/merge`, { from: alias });
      await plane.call('POST', '/api/event', { user_id: alias, asin: sku, event_type: 'view' });
      await plane.call('GET', '/api/search?q=kettle', undefined, { 'x-user-id': id });
      const listed = await plane.call('GET', `/api/recommendations?user_id=${id}&limit=3`);
      await plane.call('POST', '/api/impressions', { ranking_id: listed.body['ranking_id'], items: [{ sku, position: 0 }] });
      await plane.call('POST', '/api/rerank', { user_id: alias, items: [{ sku, score: 1 }] });
      await eventually(async () => {
        const stores = await findEverywhere(pool, redis, id);
        return ['events.interaction_logs', 'events.quarantine', 'events.users', 'recs.rankings', 'recs.user_aliases', 'events.user_aliases'].every((table) => stores.includes(table)) && stores.some((key) => key.startsWith('recs:{recs:0}:') && key.includes(':user:'));
      });
      await plane.stack.app('recommender').kill();
      const asked = await plane.call('DELETE', `/api/users/${id}`);
      expect(asked.status).toBe(202);
      const path = `/api/admin/erasures/${String(asked.body['job'])}`;
      await eventually(async () => String((await plane.call('GET', path)).body['waiting_for']).includes('receipts of recommender'));
      await plane.stack.app('event-ingest').kill();
      await Promise.all([plane.stack.app('recommender').restart(), plane.stack.app('event-ingest').restart()]);
      const done = await eventually(async () => {
        const { body } = await plane.call('GET', path);
        return body['state'] === 'done' && body;
        // Where the counts are just being built it waits for that.
      }, { timeoutMs: 90_000 });
      expect(done).toMatchObject({ names: 2, waiting_for: [], receipts: expect.arrayContaining([expect.objectContaining({ service: 'recommender', store: 'counts', due: 0 }), expect.objectContaining({ service: 'catalog-api', store: 'searches', due: 0 })]) });
      expect(await plane.call('POST', '/api/event', { user_id: alias, asin: sku, event_type: 'view' })).toMatchObject({ status: 410, body: { code: 'gone' } });
      await plane.call('GET', `/api/recommendations?user_id=${id}`);
      for (const name of [id, alias]) expect([await findEverywhere(pool, redis, name), findInFiles(plane.stack.stateDir, [name])]).toEqual([[], []]);
      expect((await plane.call('DELETE', `/api/users/${alias}`)).body).toMatchObject({ job: done['job'], state: 'done' });
    } finally {
      redis.disconnect();
      await pool.end();
    }
  });

  it('are in the analytics at once and shown live, to keys that may see them', async () => {
    const gone = new AbortController();
    const feed = await fetch(`${plane.stack.gatewayUrl}/api/live?types=purchase`, { headers: { 'x-api-key': plane.stack.apiKey }, signal: gone.signal });
    expect([feed.status, feed.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
    let shown = '';
    const reading = (async () => {
      for await (const chunk of feed.body ?? []) shown += Buffer.from(chunk).toString();
    })().catch(() => undefined);
    const sku = uniqueName('sold');
    await eventually(async () => {
      await plane.call('POST', '/api/event', { user_id: 5, asin: sku, event_type: 'purchase' });
      return shown.includes(sku);
    }, { everyMs: 100 });
    expect(shown).toMatch(/^event: interaction\ndata: \{"type":"purchase",/m);
    gone.abort();
    await reading;
    await eventually(async () => {
      const { body } = await plane.call('GET', '/api/analytics/products/top?by=purchases&limit=1000');
      return JSON.stringify(body['data']).includes(sku);
    });
    await eventually(async () => {
      expect((await plane.call('GET', '/api/analytics/summary')).body).toMatchObject({ granularity: 'day', degraded: false });
      return true;
    });
    expect((await plane.call('GET', '/api/analytics/queries/top')).body).toMatchObject({ days: 7 });
    // Refused while the counting is behind.
    const recounted = await eventually(async () => {
      const answer = await plane.call('POST', '/api/admin/analytics/recount', { from: '2011-03-04', to: '2011-03-05' });
      return answer.status === 200 && answer;
    });
    expect(recounted.body).toMatchObject({ removed: 0 });
  });

  it('are what the counts of recommendations are rebuilt from, beside the live ones', async () => {
    const many = Array.from({ length: 301 }, (_, n) => ({ user_id: n, asin: 'r-0', event_type: 'click' }));
    expect((await plane.call('POST', '/api/events', many)).body).toMatchObject({ accepted: 301 });
    for (const asin of ['r-1', 'r-2', 'r-3']) await plane.call('POST', '/api/event', { user_id: 'rebuilt', asin, event_type: 'purchase' });
    const rebuilds = async () => {
      const { body } = await plane.call('GET', '/api/admin/recommendations/counts');
      return (body['rebuilds'] ?? []) as { id: number; reason: string; generation: string | null; events: number; drift: Record<string, number> | null }[];
    };
    // The first one comes by itself.
    const first = await eventually(async () => (await rebuilds()).find(({ generation }) => generation !== null));
    const rebuilt = async (after: number) => {
      // Not while the one before is about to end.
      await eventually(async () => (await plane.call('POST', '/api/admin/recommendations/rebuild')).body['started'] === true);
      // One that fails is tried again.
      return await eventually(async () => {
        const all = await rebuilds();
        return all.find(({ id, generation }) => id > after && generation !== null) ?? Promise.reject(new Error(JSON.stringify(all)));
      }, { timeoutMs: 60_000 });
    };
    // What erased users did is in the counts of products until this one.
    const second = await rebuilt(first.id);
    const third = await rebuilt(second.id);
    expect([first.reason, second.reason, third.reason]).toEqual(['first', 'manual', 'manual']);
    expect(third.events).toBeGreaterThan(300);
    expect(third.drift).toMatchObject({ baskets: 0, buyers: 0, views: 0 });
  });
});

describeRecommendations(() => plane);
describeTracker(() => plane);
