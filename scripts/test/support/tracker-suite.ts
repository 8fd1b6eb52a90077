import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { z } from 'zod';
import { createPool } from '../../../libs/database/src/index.ts';
import { describeWith, eventually, uniqueName } from '../../../libs/testing/src/index.ts';
import { mainOf } from '../../local/apps.ts';
import { root } from '../../local/paths.ts';
import type { Stack } from '../../local/stack.ts';
import type { Plane } from './plane.ts';
import { startShopPages } from './shop-pages.ts';
import type { ShopPages } from './shop-pages.ts';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const rowSchema = z.object({ event_id: z.string(), user_id: z.string(), asin: z.string(), event_type: z.string(), session_id: z.string().nullable() });

/** On a plane that runs already: starting one costs more than these tests. */
export const describeTracker = (planeOf: () => Plane): void => describeWith('chromium', 'the tracking script in a real browser', () => {
  let stack: Stack;
  let pages: ShopPages;
  let browser: Browser;
  let context: BrowserContext;
  let key: string;
  const thrown: string[] = [];

  const query = async (text: string, parameter: string): Promise<readonly unknown[]> => {
    const pool = createPool({ url: stack.env['DATABASE_URL'] ?? '', name: 'e2e', max: 1 });
    try {
      return (await pool.query<Record<string, unknown>>(text, [parameter])).rows;
    } finally {
      await pool.end();
    }
  };
  /** Rows of products whose sku begins so. */
  const rows = async (prefix: string) =>
    z.array(rowSchema).parse(await query('select event_id, user_id, asin, event_type::text, session_id from events.interaction_logs where asin like $1 order by ts, asin', `${prefix}%`));
  /** Events that event-ingest counted, without those that it knew already. */
  const counted = async (): Promise<number> => {
    const text = await (await fetch(`${stack.app('event-ingest').internalUrl}/metrics`)).text();
    return [...text.matchAll(/^events_accepted_total\{[^}]*outcome="(\w+)"[^}]*\} (\d+)/gm)].reduce((sum, [, outcome, count]) => sum + (outcome === 'duplicate' ? 0 : Number(count)), 0);
  };
  const millraceCommand = async (...args: readonly string[]): Promise<string> =>
    (await promisify(execFile)(process.execPath, [mainOf('cli'), ...args], { cwd: root, env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], DATABASE_URL: stack.env['DATABASE_URL'] } })).stdout;
  const millrace = (page: Page, ...call: readonly unknown[]): Promise<unknown> => page.evaluate((args) => Reflect.apply(Reflect.get(globalThis, 'millrace'), undefined, args), [...call]);
  const open = async (origin: string = pages.localhost): Promise<Page> => {
    const page = await context.newPage();
    page.on('pageerror', ({ message }) => thrown.push(message));
    await page.goto(origin);
    // The early function has a queue; the script's has none.
    await page.waitForFunction('window.millrace && !window.millrace.q');
    return page;
  };
  const kept = (page: Page): Promise<readonly string[]> => page.evaluate('Object.keys(sessionStorage).concat(Object.keys(localStorage)).filter((name) => /^mr_[ei]/.test(name))');

  beforeAll(async () => {
    ({ stack } = planeOf());
    browser = await chromium.launch({ executablePath: process.env['TEST_CHROMIUM_BIN'] ?? '', args: FLAGS });
    pages = await startShopPages(stack.gatewayUrl);
    const made = await millraceCommand('keys', 'create', '--name', 'shop', '--publishable', '--origin', pages.localhost);
    key = made.split('\n')[1] ?? '';
  });
  afterAll(async () => {
    await browser.close();
    pages.close();
  });
  beforeEach(async () => {
    context = await browser.newContext();
    pages.settings = { key };
  });
  afterEach(async () => {
    await context.close();
    const errors = thrown.splice(0);
    if (errors.length > 0) throw new Error(`thrown into the page: ${errors.join('; ')}`);
  });

  it('works with a key that is listed with what it may do and from where', async () => {
    expect(await millraceCommand('keys', 'list')).toMatch(new RegExp(`^key_\\S+  active  publishable:view,click,add_to_cart from ${pages.localhost}  shop$`, 'm'));
  });

  it('has the live context at once, under an anonymous id, and sets no cookie', async () => {
    const sku = uniqueName('live');
    const page = await open();
    await millrace(page, 'view', sku, { page: 'detail' });
    const user = z.string().regex(/^anon:[0-9a-f]{32}$/).parse(await millrace(page, 'user'));
    await eventually(async () => {
      const answer = await fetch(`${stack.gatewayUrl}/api/users/${user}/context`, { headers: { 'x-api-key': stack.apiKey } });
      return JSON.stringify(await answer.json()).includes(sku);
    });
    expect((await eventually(async () => (await rows(sku))[0]))).toMatchObject({ user_id: user, event_type: 'view' });
    expect(await context.cookies()).toEqual([]);
    await eventually(async () => (await kept(page)).length === 0);
  });

  it('loses nothing when the page is closed before anything was sent, and nothing counts twice', async () => {
    pages.settings = { key, delayMs: 600_000 };
    const before = await counted();
    const sku = uniqueName('close');
    const page = await open();
    await millrace(page, 'view', `${sku}-1`);
    await millrace(page, 'click', `${sku}-2`, { ranking_id: '5b0ff0a5-29a1-4f0e-9a53-8f5d9f1a2b3c' });
    // The page's own, of a name that begins like ours.
    await page.evaluate("sessionStorage.setItem('mr_email', 'jane@example.com')");
    // The next page of this tab sends again what nobody confirmed.
    await page.goto(`${pages.localhost}/next`);
    await page.waitForFunction('window.millrace && !window.millrace.q');
    await millrace(page, 'add_to_cart', `${sku}-3`);
    await page.close({ runBeforeUnload: true });
    await eventually(async () => (await rows(sku)).length === 3);
    expect((await rows(sku)).map(({ event_type }) => event_type).toSorted()).toEqual(['add_to_cart', 'click', 'view']);
    expect(await counted()).toBe(before + 3);
  });

  it('brings events in once that were made while the gateway was away: from the open page, and from the next page of a tab', async () => {
    const before = await counted();
    const sku = uniqueName('away');
    const [stays, goes] = [await open(), await open()];
    await stack.app('gateway').kill();
    const failed = stays.waitForEvent('requestfailed');
    await millrace(stays, 'view', `${sku}-1`);
    await millrace(stays, 'view', `${sku}-2`);
    await failed;
    await millrace(goes, 'view', `${sku}-3`);
    await goes.goto(`${pages.localhost}/plain`);
    await stack.app('gateway').restart();
    await goes.goto(pages.localhost);
    await eventually(async () => (await rows(sku)).length === 3);
    await eventually(async () => (await kept(stays)).length + (await kept(goes)).length === 0);
    expect(await counted()).toBe(before + 3);
  });

  it('keeps tabs apart, and one visitor in all tabs where that is asked for', async () => {
    const [first, second] = [await open(), await open()];
    expect(await millrace(second, 'user')).not.toBe(await millrace(first, 'user'));
    pages.settings = { key, persist: 'local' };
    const [third, fourth] = [await open(), await open()];
    expect(await millrace(fourth, 'user')).toBe(await millrace(third, 'user'));
    expect(await context.cookies()).toEqual([]);
    const sku = uniqueName('tabs');
    await Promise.all([millrace(third, 'view', `${sku}-3`), millrace(fourth, 'view', `${sku}-4`)]);
    const found = await eventually(async () => { const all = await rows(sku); return all.length === 2 && all; });
    expect(new Set(found.map(({ user_id }) => user_id)).size).toBe(1);
    pages.settings = { key, persist: 'cookie' };
    const fifth = await open();
    expect(await context.cookies()).toMatchObject([{ name: 'mr_anon', value: await millrace(fifth, 'user'), sameSite: 'Lax' }]);
  });

  it('sends as the user that it was told, and as the visitor again after that', async () => {
    const sku = uniqueName('user');
    const page = await open();
    const visitor = await millrace(page, 'user');
    await millrace(page, 'view', `${sku}-1`);
    await millrace(page, 'identify', 4711);
    await millrace(page, 'view', `${sku}-2`);
    await millrace(page, 'identify', null);
    await millrace(page, 'view', `${sku}-3`);
    const found = await eventually(async () => { const all = await rows(sku); return all.length === 3 && all; });
    expect(found.toSorted((a, b) => (a.asin < b.asin ? -1 : 1)).map(({ user_id }) => user_id)).toEqual([visitor, '4711', visitor]);
  });

  it('does not send again what the key may not send, and the rest arrives', async () => {
    const sku = uniqueName('buy');
    const page = await open();
    const answer = page.waitForResponse((response) => response.url().includes('/api/events'));
    await millrace(page, 'purchase', `${sku}-1`);
    await millrace(page, 'nonsense', `${sku}-2`);
    await millrace(page, 'view', `${sku}-3`);
    expect(await (await answer).json()).toMatchObject({ accepted: 1, failed: 2, results: [{ code: 'forbidden', pointer: '/event_type', detail: expect.stringContaining('view, click, add_to_cart, not purchase') }, { code: 'invalid_request' }, { success: true }] });
    await eventually(async () => (await kept(page)).length === 0);
    expect(await eventually(async () => { const all = await rows(sku); return all.length > 0 && all; })).toMatchObject([{ asin: `${sku}-3` }]);
  });

  it('writes the products of a list that were seen', async () => {
    const ranking = crypto.randomUUID();
    const page = await open();
    await millrace(page, 'impressions', ranking, ['a', 'b']);
    const found = await eventually(async () => {
      const seen = await query('select sku, position from recs.impressions where ranking_id = $1 order by position', ranking);
      return seen.length === 2 && seen;
    });
    expect(found).toEqual([{ sku: 'a', position: 0 }, { sku: 'b', position: 1 }]);
  });

  it('brings more than a page may send while it goes, once, by the next page', async () => {
    pages.settings = { key, delayMs: 600_000 };
    const before = await counted();
    const sku = uniqueName('many');
    const page = await open();
    // 90 kB: browsers take 64 kB.
    await page.evaluate((name) => { for (let n = 0; n < 45; n += 1) Reflect.get(globalThis, 'millrace')('view', `${name}-${n}`, { text: 'đ'.repeat(1_000) }); }, sku);
    await page.goto(`${pages.localhost}/next`);
    await page.waitForFunction('window.millrace && !window.millrace.q');
    await millrace(page, 'flush');
    // While the last page's beacons are under way, the browser refuses more: tried again after seconds.
    await eventually(async () => (await kept(page)).length === 0);
    await eventually(async () => (await rows(sku)).length === 45);
    expect(await counted()).toBe(before + 45);
  });

  it('has the time of the server where the clock of the machine is an hour ahead', async () => {
    await context.addInitScript('const now = Date.now; Date.now = () => now() + 3_600_000');
    const sku = uniqueName('clock');
    const page = await open();
    for (const n of [1, 2]) {
      await millrace(page, 'view', `${sku}-${n}`);
      await eventually(async () => (await rows(sku)).length === n);
    }
    const late = await query(`select asin from events.interaction_logs where asin like $1 and abs(extract(epoch from now() - ts)) > 30`, `${sku}%`);
    expect(late).toEqual([]);
  });

  it('brings nothing in from a page of another origin, and throws nothing into it', async () => {
    const before = await counted();
    const sku = uniqueName('evil');
    const page = await open(pages.address);
    // Refused with 403, which the browser does not show to a page of an unknown origin.
    const tried = page.waitForEvent('requestfailed', (request) => request.url().includes('/api/events'));
    await millrace(page, 'view', sku);
    await tried;
    await page.close({ runBeforeUnload: true });
    expect([await rows(sku), await counted()]).toEqual([[], before]);
  });

  it('stores and sends nothing of a visitor who does not want it, where the shop respects that', async () => {
    pages.settings = { key, respectSignals: true };
    await context.addInitScript('Object.defineProperty(navigator, "globalPrivacyControl", { value: true })');
    const sent: string[] = [];
    const page = await open();
    page.on('request', (request) => sent.push(request.url()));
    await millrace(page, 'view', 'x');
    await millrace(page, 'flush');
    await page.goto(`${pages.localhost}/plain`);
    expect([sent.filter((url) => url.includes('/api/')), await page.evaluate('sessionStorage.length + localStorage.length'), await context.cookies()]).toEqual([[], 0, []]);
  });
});
