import { describe, expect, it } from '@jest/globals';
import { createConfirmations } from '../src/index.ts';
import { openShop, problem, product } from './kit.ts';
import type { Seen } from './kit.ts';

/** A product whose stock is set only by who knows its version. */
function shopOf(start = { version: 5, stock: 12 }) {
  const row = { ...start };
  return {
    row,
    api: ({ method, path, body }: Seen) => {
      if (path === '/api/products/MR-0001' && method === 'GET') return { body: product({ ...row, content_version: 3 }), headers: { etag: `"3.${row.version}"` } };
      if (path !== '/api/products/MR-0001/stock' || method !== 'PUT') return undefined;
      const { stock, expected_version: version } = Object(body) as { stock: number; expected_version: number };
      if (version !== row.version) return problem(412, 'precondition_failed', 'moved');
      Object.assign(row, { stock, version: row.version + 1 });
      return { body: product({ ...row }) };
    },
  };
}
const args = { sku: 'MR-0001', stock: 7 };
const puts = (seen: readonly Seen[]): number => seen.filter(({ method }) => method === 'PUT').length;

describe('update_stock', () => {
  it('changes nothing without a token and says what would change; with it, it acts once', async () => {
    const { api, row } = shopOf();
    const shop = await openShop(api);
    const preview = await shop.call('update_stock', args);
    expect(preview.data).toMatchObject({ state: 'preview', stock_before: 12, stock_after: 7, version: 5 });
    expect([row.stock, puts(shop.seen)]).toEqual([12, 0]);
    const done = await shop.call('update_stock', { ...args, confirm_token: preview.data['confirm_token'] });
    expect(done.data).toMatchObject({ state: 'done', stock_before: 12, stock_after: 7, version: 6, confirm_token: null });
    expect(shop.seen.find(({ method }) => method === 'PUT')).toMatchObject({ body: { stock: 7, expected_version: 5 } });
    const again = await shop.call('update_stock', { ...args, confirm_token: preview.data['confirm_token'] });
    expect([again.isError, again.text, row.stock, puts(shop.seen)]).toEqual([true, expect.stringMatching(/^confirmation_used: /), 7, 1]);
    await shop.close();
  });

  it('reads past the cache what it shows', async () => {
    const shop = await openShop(shopOf().api);
    await shop.call('update_stock', args);
    expect(shop.seen[0]?.headers.get('cache-control')).toBe('no-cache');
    await shop.close();
  });

  it('refuses a product that has moved since, when it reads it and when it writes', async () => {
    const { api, row } = shopOf();
    let isRaced = false;
    const shop = await openShop((seen) => {
      const answer = api(seen);
      if (seen.method === 'GET' && isRaced) row.version += 1;
      return answer;
    });
    const tokenOf = async (): Promise<unknown> => (await shop.call('update_stock', args)).data['confirm_token'];
    const first = await tokenOf();
    row.version += 1;
    expect((await shop.call('update_stock', { ...args, confirm_token: first })).text).toMatch(/^precondition_failed: the product has changed/);
    const second = await tokenOf();
    isRaced = true;
    expect((await shop.call('update_stock', { ...args, confirm_token: second })).text).toMatch(/^precondition_failed: the product has changed/);
    expect(row.stock).toBe(12);
    await shop.close();
  });

  it.each([
    { what: 'another sku', over: { sku: 'MR-0002' }, code: 'confirmation_refused' },
    { what: 'another number', over: { stock: 8 }, code: 'confirmation_refused' },
    { what: 'a made-up token', over: { confirm_token: 'yes' }, code: 'confirmation_refused' },
    { what: 'a number below 0', over: { stock: -1 }, code: 'invalid_request' },
    { what: 'half a unit', over: { stock: 1.5 }, code: 'invalid_request' },
    { what: 'a field that there is none of', over: { force: true }, code: 'invalid_request' },
  ])('refuses $what and changes nothing', async ({ over, code }) => {
    const shop = await openShop(shopOf().api);
    const { data } = await shop.call('update_stock', args);
    const refused = await shop.call('update_stock', { ...args, confirm_token: data['confirm_token'], ...over });
    expect([refused.isError, refused.text.split(':')[0], puts(shop.seen)]).toEqual([true, code, 0]);
    await shop.close();
  });

  it("refuses another caller's token, and one that is older than a minute", async () => {
    let nowMs = Date.now();
    const confirmations = createConfirmations({ now: () => nowMs });
    const shop = await openShop(shopOf().api, { deps: { confirmations } });
    const foreign = confirmations.issue({ caller: 'default/key_2', sku: 'MR-0001', stock: 7, version: 5 }).token;
    expect((await shop.call('update_stock', { ...args, confirm_token: foreign })).text).toContain('another caller');
    const { data } = await shop.call('update_stock', args);
    nowMs += 60_000;
    expect((await shop.call('update_stock', { ...args, confirm_token: data['confirm_token'] })).text).toContain('older than 60 seconds');
    expect(puts(shop.seen)).toBe(0);
    await shop.close();
  });

  it('acts at most once where the answer to the change was lost', async () => {
    const { api, row } = shopOf();
    const shop = await openShop((seen) => {
      const answer = api(seen);
      return seen.method === 'PUT' ? problem(504, 'upstream_timeout', 'catalog-api did not answer in time') : answer;
    });
    const { data } = await shop.call('update_stock', args);
    expect((await shop.call('update_stock', { ...args, confirm_token: data['confirm_token'] })).text).toMatch(/^upstream_timeout: /);
    expect((await shop.call('update_stock', { ...args, confirm_token: data['confirm_token'] })).text).toMatch(/^confirmation_used: /);
    expect([row.version, puts(shop.seen)]).toEqual([6, 1]);
    await shop.close();
  });

  it('changes nothing where calls cannot be counted, or the confirmation cannot be used up', async () => {
    const lost = async (): Promise<never> => { throw new Error('Redis is away'); };
    const uncounted = await openShop(shopOf().api, { deps: { usage: { take: lost, useUp: lost } } });
    expect((await uncounted.call('update_stock', args)).text).toMatch(/^unavailable: calls of update_stock cannot be counted now/);
    expect((await uncounted.call('get_product', { sku: 'MR-0001' })).data).toMatchObject({ product: { sku: 'MR-0001' } });
    await uncounted.close();
    const confirmations = createConfirmations();
    const token = confirmations.issue({ caller: 'default/key_1', sku: 'MR-0001', stock: 7, version: 5 }).token;
    const unused = await openShop(shopOf().api, { deps: { confirmations, usage: { take: async () => ({ isAdmitted: true }), useUp: lost } } });
    expect((await unused.call('update_stock', { ...args, confirm_token: token })).isError).toBe(true);
    expect(puts(unused.seen)).toBe(0);
    await unused.close();
  });
});

describe('update_stock over a connection whose user can be asked', () => {
  it.each([
    { says: 'yes', answer: { action: 'accept', content: { confirm: true } }, state: 'done', stock: 7 },
    { says: 'no', answer: { action: 'decline' }, state: 'declined', stock: 12 },
    { says: 'nothing', answer: { action: 'cancel' }, state: 'declined', stock: 12 },
    { says: 'yes to the form and no to the question', answer: { action: 'accept', content: { confirm: false } }, state: 'declined', stock: 12 },
  ] as const)('asks, and where they say $says the stock is $stock', async ({ answer, state, stock }) => {
    const { api, row } = shopOf();
    const asked: string[] = [];
    const shop = await openShop(api, { isInteractive: true, onAsked: (message) => (asked.push(message), answer) });
    expect((await shop.call('update_stock', args)).data).toMatchObject({ state });
    expect([asked, row.stock, shop.called.map(({ outcome }) => outcome)]).toEqual([['Set the stock of "Wireless noise-cancelling headphones" (MR-0001) from 12 to 7?'], stock, ['question', 'ok']]);
    await shop.close();
  });

  it('answers a preview where the program cannot ask, or the connection is not for one user', async () => {
    for (const options of [{ isInteractive: true }, { onAsked: () => ({ action: 'accept' as const, content: { confirm: true } }) }]) {
      const { api, row } = shopOf();
      const shop = await openShop(api, options);
      expect([(await shop.call('update_stock', args)).data['state'], row.stock]).toEqual(['preview', 12]);
      await shop.close();
    }
  });
});
