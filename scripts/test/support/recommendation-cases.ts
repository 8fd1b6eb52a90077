import { beforeAll, describe, expect, it } from '@jest/globals';
import { createPool } from '../../../libs/database/src/index.ts';
import { eventually, uniqueName } from '../../../libs/testing/src/index.ts';
import type { Plane } from './plane.ts';
import { openShop } from './shop.ts';
import type { List, Shop } from './shop.ts';

const skusOf = ({ data }: Pick<List, 'data'>): string[] => data.map(({ sku }) => sku);

async function select<T extends Record<string, unknown>>(plane: Plane, text: string, values: readonly unknown[]): Promise<T[]> {
  const pool = createPool({ url: plane.stack.env['DATABASE_URL'] ?? '', name: 'e2e', max: 1 });
  try {
    return (await pool.query<T>(text, [...values])).rows;
  } finally {
    await pool.end();
  }
}

/** What shoppers do and are shown, on a running plane as users start it. */
export function describeRecommendations(plane: () => Plane): void {
  let shop: Shop;
  const first = (skus: readonly string[], at = 0): string => skus[at] ?? '';
  beforeAll(async () => {
    shop = await openShop(plane());
    const { audio, lamps } = shop;
    const buyers = Array.from({ length: 5 }, () => uniqueName('buyer'));
    const seen = buyers.flatMap((user) => [...audio.map((sku) => ['purchase', sku] as const), ...lamps.slice(0, 3).map((sku) => ['view', sku] as const)].map(([event_type, asin]) => ({ user_id: user, asin, event_type })));
    await plane().call('POST', '/api/events', seen);
    await eventually(async () => (await shop.alsoBought(first(audio))).data.filter(({ stage }) => stage === 'co_buy').length === 5);
    await eventually(async () => (await shop.list('limit=100')).data.filter(({ sku, stage }) => lamps.includes(sku) && stage === 'trending').length === 3);
  });

  describe('recommendations through the gateway', () => {
    it('have moved up the category of a click, and have dropped what was bought, in the very next list', async () => {
      const user = uniqueName('shopper');
      const before = await shop.list(`user_id=${user}&limit=5`);
      expect([before.context, before.data[0]?.category]).toEqual(['none', shop.categories.audio]);
      expect((await shop.did(user, 'click', first(shop.lamps, 4))).body).toMatchObject({ context: 'live' });
      const after = await shop.list(`user_id=${user}&limit=5`);
      expect([after.context, after.data[0]?.category]).toEqual(['live', shop.categories.lamps]);
      const bought = first(skusOf(after));
      expect((await shop.did(user, 'purchase', bought, { ranking_id: after.ranking_id })).body).toMatchObject({ context: 'live' });
      expect(skusOf(await shop.list(`user_id=${user}&limit=100`))).not.toContain(bought);
    });

    it('re-rank a given list by the same click, and name what they left out', async () => {
      const user = uniqueName('shopper');
      const [seen, alike, other, bought] = [first(shop.lamps), first(shop.lamps, 1), first(shop.audio), first(shop.lamps, 2)];
      const items = [other, seen, alike, bought, 'no-such-product'].map((sku) => ({ sku, score: 1 }));
      expect(skusOf(await shop.rerank(user, items))).toEqual([other, seen, alike, bought]);
      await shop.did(user, 'view', seen);
      await shop.did(user, 'purchase', bought);
      const list = await shop.rerank(user, items);
      expect([skusOf(list), list.left_out]).toEqual([[alike, other, seen], [bought, 'no-such-product']]);
    });

    it('say what is bought together, how often, and why a product has its place', async () => {
      expect((await shop.alsoBought(first(shop.audio))).data[0]).toMatchObject({ stage: 'co_buy', together: 5, category: shop.categories.audio });
      const user = uniqueName('shopper');
      await shop.did(user, 'view', first(shop.lamps));
      const { data } = await shop.list(`user_id=${user}&limit=100&explain=true`);
      const [looked, other] = [data.find(({ sku }) => sku === first(shop.lamps, 1)), data.find(({ sku }) => sku === first(shop.audio))];
      expect([looked?.explain?.factors.category, other?.explain?.factors.category]).toEqual([1.6, 1]);
      expect(data.find(({ sku }) => sku === first(shop.lamps))?.explain?.factors.seen).toBeCloseTo(0.3);
    });

    it('never show a product that was deleted, archived, sold out or excluded, at any stage', async () => {
      const [user, regular] = [uniqueName('shopper'), uniqueName('regular')];
      const [deleted, archived, soldOut, excluded] = shop.audio.slice(2);
      await Promise.all([deleted, archived, soldOut, excluded].flatMap((sku) => [shop.did(user, 'view', sku ?? ''), shop.did(regular, 'purchase', sku ?? '', { timestamp: '2026-01-01T00:00:00Z' })]));
      const changed = await Promise.all([
        plane().call('DELETE', `/api/products/${deleted}`, undefined, { 'if-match': '*' }), plane().call('PATCH', `/api/products/${archived}`, { status: 'archived' }, { 'if-match': '*' }),
        plane().call('PUT', `/api/products/${soldOut}/stock`, { stock: 0 }, { 'if-match': '*' }),
      ]);
      expect(changed.map(({ status, body }) => [status, body['errors']])).toEqual([[204, undefined], [200, undefined], [200, undefined]]);
      const isGone = (list: Pick<List, 'data'>): boolean => !skusOf(list).some((sku) => sku === deleted || sku === archived || sku === soldOut);
      await eventually(async () => isGone(await shop.list('limit=100')));
      for (const query of ['', `user_id=${user}`, `user_id=${regular}`, `category=${shop.categories.audio}`, `user_id=${user}&exclude_seen=true`]) {
        const list = await shop.list(`limit=100&exclude=${excluded}&${query}`);
        expect([isGone(list), skusOf(list).includes(excluded ?? '')]).toEqual([true, false]);
      }
      expect(isGone(await shop.alsoBought(first(shop.audio)))).toBe(true);
      expect(skusOf(await shop.rerank(user, shop.audio.map((sku) => ({ sku, score: 1 })))).toSorted()).toEqual([first(shop.audio), first(shop.audio, 1), excluded ?? ''].toSorted());
    });

    it('are kept under their ranking_id, with each impression once', async () => {
      const user = uniqueName('shopper');
      const { ranking_id: rankingId, data } = await shop.list(`user_id=${user}&limit=3`);
      const seen = { ranking_id: rankingId, items: data.map(({ sku }, position) => ({ sku, position })) };
      expect((await plane().call('POST', '/api/impressions', seen)).body).toEqual({ new: 3 });
      expect((await plane().call('POST', '/api/impressions', seen)).body).toEqual({ new: 0 });
      const stored = await eventually(async () => (await select(plane(), 'select user_id, skus from recs.rankings where ranking_id = $1', [rankingId]))[0]);
      expect(stored).toEqual({ user_id: user, skus: skusOf({ data }) });
    });

    it('know a whole NDJSON batch but for its broken line, and what an id did before it was merged', async () => {
      const [user, visitor] = [uniqueName('shopper'), `anon:${uniqueName('visitor')}`];
      const line = (n: number) => JSON.stringify({ user_id: visitor, asin: shop.lamps[n], event_type: 'view' });
      const answer = await fetch(`${plane().stack.gatewayUrl}/api/events`, { method: 'POST', headers: { 'x-api-key': plane().stack.apiKey, 'content-type': 'application/x-ndjson' }, body: [line(0), '{"user_id":', line(1)].join('\n') });
      expect(await answer.json()).toMatchObject({ accepted: 2, failed: 1, results: [{ index: 0, success: true, context: 'live' }, { index: 1, success: false, code: 'malformed_body' }, { index: 2, success: true, context: 'live' }] });
      await plane().call('POST', `/api/users/${user}/merge`, { from: visitor });
      const { context, data } = await shop.list(`user_id=${user}&limit=100&explain=true`);
      expect([context, data[0]?.category, data.find(({ sku }) => sku === shop.lamps[1])?.explain?.factors.seen.toFixed(1)]).toEqual(['live', shop.categories.lamps, '0.3']);
    });

    it('personalise a search by the same click, with its total, and refuse one without a user', async () => {
      const user = uniqueName('shopper');
      const search = async (query: string) => {
        const { body, headers } = await plane().call('GET', `/api/search?q=shopthing&limit=5&${query}`);
        return { body, cache: headers.get('cache-control'), categories: (body['data'] as { category: string }[]).map(({ category }) => category) };
      };
      const plain = await eventually(async () => {
        const found = await search('');
        return Number(found.body['total']) >= 9 && found;
      });
      expect(plain.body).toMatchObject({ personalized: false, personalized_reason: 'not_asked' });
      const other = plain.categories[0] === shop.categories.lamps ? shop.categories.audio : shop.categories.lamps;
      await shop.did(user, 'view', first(other === shop.categories.lamps ? shop.lamps : shop.audio));
      // Two cores for a whole plane: now and then the budget of 30 ms is over first.
      const personal = await eventually(async () => {
        const found = await search(`personalize=true&user_id=${user}`);
        // Of the same moment: what was deleted before may be in the index still.
        return found.body['personalized'] === true && found.body['total'] === (await search('')).body['total'] && found;
      }, { timeoutMs: 90_000 });
      expect([personal.categories[0], personal.cache]).toEqual([other, 'no-store']);
      expect((await plane().call('GET', '/api/search?q=x&personalize=true')).body).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/user_id' }] });
    });

    it('are those of the variant while an experiment runs, and its results count each user, click and purchase once', async () => {
      const [key, user] = [uniqueName('no-person').replaceAll('_', '-'), uniqueName('shopper')];
      const admin = (method: string, path: string, body?: unknown) => plane().call(method, `/api/admin/experiments${path}`, body);
      const settings = { personalize: false };
      expect(await admin('POST', '', { key, description: 'everybody gets the list of a stranger', variants: [{ key: 'one', weight: 1, settings }, { key: 'two', weight: 1, settings }] })).toMatchObject({ status: 201, body: { status: 'draft' } });
      expect(await admin('POST', `/${key}/start`)).toMatchObject({ status: 200, body: { status: 'running' } });
      await shop.did(user, 'click', first(shop.lamps, 4));
      const list = await shop.list(`user_id=${user}&limit=5`);
      expect([list.experiments?.map((one) => one.key), list.data[0]?.category]).toEqual([[key], shop.categories.audio]);
      await plane().call('POST', '/api/impressions', { ranking_id: list.ranking_id, items: [{ sku: list.data[0]?.sku, position: 0 }] });
      const click = { ranking_id: list.ranking_id, event_id: uniqueName('click') };
      for (let n = 0; n < 2; n += 1) await shop.did(user, 'click', list.data[0]?.sku ?? '', click);
      await shop.did(user, 'purchase', list.data[0]?.sku ?? '');
      const shown = await eventually(async () => {
        const { body } = await admin('GET', `/${key}/results`);
        const variant = (body['variants'] as { key: string; users: number; lists_clicked: number; buyers: number }[]).find((one) => one.key === list.experiments?.[0]?.variant);
        return variant?.lists_clicked === 1 && variant.buyers === 1 && variant;
      });
      expect(shown).toMatchObject({ users: 1, lists: 1, lists_seen: 1, click_rate: { value: 1 }, conversion: { value: 1 } });
      expect(await admin('POST', `/${key}/stop`)).toMatchObject({ body: { status: 'stopped' } });
      expect((await shop.list(`user_id=${user}&limit=5`)).experiments).toEqual([]);
      await eventually(async () => (await select(plane(), "select count(*)::int as calls from gateway.audit_log where operation in ('createExperiment', 'startExperiment', 'stopExperiment') and path like $1", ['%experiments%']))[0]?.['calls'] === 3);
    });
  });
}
