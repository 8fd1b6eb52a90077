import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { loggedEventsSchema } from '@millrace/contracts';
import { asEntries } from '@millrace/redis-kit';
import { eventually } from '@millrace/testing';
import { keepItems } from '../src/item.repository.ts';
import { startPlane } from './ingest-kit.ts';
import type { Instance, Plane } from './ingest-kit.ts';

const view = (userId: unknown, asin = 'P-1', more: Record<string, unknown> = {}) => ({ user_id: userId, asin, event_type: 'view', metadata: { page: 'detail' }, ...more });
const HOUR_MS = 3_600_000;
const fromNow = (ms: number): string => new Date(Date.now() + ms).toISOString();

describe('event-ingest', () => {
  let plane: Plane;
  let first: Instance;
  let second: Instance;
  beforeAll(async () => {
    plane = await startPlane();
    await keepItems(plane.db, [{
      sku: 'P-1', version: 3,
      product: { sku: 'P-1', version: 3, content_version: 3, merchant_id: 1, name: 'n', description: null, category: 'Audio', brand: 'Nhật Minh', mpn: null, ean: [], price: 1, price_minor: 100, currency: 'USD', stock: 1, image_url: null, attributes: {}, status: 'active', created_at: '', updated_at: '' },
    }]);
    [first, second] = [await plane.startInstance(), await plane.startInstance()];
    await first.startWriter();
  });
  afterAll(() => plane.close());
  const rowOf = (id: unknown) =>
    eventually(async () => (await plane.pool.query<Record<string, unknown>>('select *, month::text as month_text from events.interaction_logs where event_id = $1', [id])).rows[0]);
  const results = async (body: unknown, headers?: Record<string, string>) => loggedEventsSchema.parse((await first.call('POST', '/api/events', body, headers)).body);

  it('answers live when the next read of the context knows, and writes the row with category and brand', async () => {
    const answer = await first.call('POST', '/api/event', view(123, 'P-1', { event_type: 'purchase', session_id: 's', ranking_id: 'r', metadata: { order: 7 } }));
    expect(answer).toMatchObject({ status: 200, body: { success: true, message: 'Event logged: purchase', context: 'live' } });
    expect((await second.call('GET', '/api/users/123/context')).body).toMatchObject({
      user_id: '123', recent_items: [{ asin: 'P-1' }], recent_purchases: [{ asin: 'P-1' }], recent_categories: { Audio: 1 },
    });
    expect(await rowOf(answer.body['event_id'])).toMatchObject({
      user_id: '123', asin: 'P-1', event_type: 'purchase', session_id: 's', ranking_id: 'r', metadata: { order: 7, category: 'Audio', brand: 'Nhật Minh' }, month_text: `${new Date().toISOString().slice(0, 7)}-01`,
    });
  });

  it('takes 123 and "123" as one user', async () => {
    await first.call('POST', '/api/event', view(4711, 'A'));
    await first.call('POST', '/api/event', view('4711', 'B'));
    expect((await first.call('GET', '/api/users/4711/context')).body).toMatchObject({ recent_items: [{ asin: 'B' }, { asin: 'A' }] });
  });

  it('takes metadata.timestamp where there is no timestamp, logs an old event and keeps it out of the context', async () => {
    const at = fromNow(-2 * HOUR_MS);
    const old = await first.call('POST', '/api/event', view('old', 'A', { metadata: { timestamp: at } }));
    expect(old.body).toMatchObject({ success: true, context: 'deferred' });
    expect(new Date(String((await rowOf(old.body['event_id']))['ts'])).toISOString()).toBe(at);
    expect((await first.call('GET', '/api/users/old/context')).body).toMatchObject({ recent_items: [], last_active: null });
  });

  it('puts an event that comes late behind what is newer: the context never moves back', async () => {
    await first.call('POST', '/api/event', view('late', 'NEW'));
    const before = (await first.call('GET', '/api/users/late/context')).body;
    expect((await second.call('POST', '/api/event', view('late', 'OLD', { timestamp: fromNow(-600_000) }))).body).toMatchObject({ context: 'live' });
    const after = (await first.call('GET', '/api/users/late/context')).body;
    expect(after).toMatchObject({ recent_items: [{ asin: 'NEW' }, { asin: 'OLD' }], last_active: before['last_active'] });
  });

  it('makes a partition for any month that arrives', async () => {
    const { body } = await first.call('POST', '/api/event', view('history', 'A', { timestamp: '2010-12-01T08:26:00Z' }));
    expect(await rowOf(body['event_id'])).toMatchObject({ month_text: '2010-12-01', asin: 'A' });
  });

  it('counts and stores five parallel duplicates over two instances once', async () => {
    const event = view('dup', 'P-1', { event_id: 'dup-1' });
    const answers = await Promise.all([first, second, first, second, first].map((instance) => instance.call('POST', '/api/event', event)));
    expect(answers.map(({ status, body }) => [status, body['event_id'], body['context']])).toEqual(answers.map(() => [200, 'dup-1', 'live']));
    await rowOf('dup-1');
    expect((await first.call('GET', '/api/users/dup/context')).body).toMatchObject({ recent_categories: { Audio: 1 } });
    const entries = asEntries(await first.redis.call('XRANGE', ['interactions', '-', '+'])).filter(({ fields }) => fields.includes('dup-1'));
    expect(entries.length).toBeLessThanOrEqual(1);
    expect((await plane.pool.query(`select 1 from events.interaction_logs where event_id = 'dup-1'`)).rowCount).toBe(1);
  });

  it('knows an unknown item later: a stub is filled in by the catalogue and never by an older version', async () => {
    const { body } = await first.call('POST', '/api/event', view('stub', 'NEW-1'));
    await rowOf(body['event_id']);
    expect((await plane.pool.query(`select version, category from events.items where sku = 'NEW-1'`)).rows).toEqual([{ version: 0, category: null }]);
    await keepItems(plane.db, [{ sku: 'NEW-1', version: 9 }]);
    await keepItems(plane.db, [{ sku: 'NEW-1', version: 8 }]);
    expect((await plane.pool.query(`select version, is_deleted from events.items where sku = 'NEW-1'`)).rows).toEqual([{ version: 9, is_deleted: true }]);
  });

  describe('bad input', () => {
    const long = 'x'.repeat(201);
    const cases: readonly { readonly name: string; readonly body: unknown; readonly pointer: string; readonly says: RegExp }[] = [
      { name: 'an unknown type', body: view(1, 'A', { event_type: 'hover' }), pointer: '/event_type', says: /view or click/ },
      { name: 'no user', body: { asin: 'A', event_type: 'view' }, pointer: '/user_id', says: /whole number|required/ },
      { name: 'a long id', body: view(long), pointer: '/user_id', says: /200/ },
      { name: 'metadata over 2 kB', body: view(1, 'A', { metadata: { text: 'x'.repeat(2_048) } }), pointer: '/metadata', says: /2048 bytes/ },
      { name: 'metadata with 21 keys', body: view(1, 'A', { metadata: Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`k${n}`, 1])) }), pointer: '/metadata', says: /20 keys/ },
      { name: 'metadata with __proto__', body: '{"user_id":1,"asin":"A","event_type":"view","metadata":{"a":{"__proto__":{"x":1}}}}', pointer: '/metadata', says: /__proto__/ },
      { name: 'a time 23 hours ahead', body: view(1, 'A', { timestamp: fromNow(23 * HOUR_MS) }), pointer: '/timestamp', says: /ahead/ },
      { name: 'a time before 2000', body: view(1, 'A', { metadata: { timestamp: '1999-12-31T23:59:59Z' } }), pointer: '/metadata/timestamp', says: /1999/ },
      { name: 'a rating of 6', body: view(1, 'A', { event_type: 'rate', rating: 6 }), pointer: '/rating', says: /at most 5/ },
      { name: 'a rate without rating', body: view(1, 'A', { event_type: 'rate' }), pointer: '/rating', says: /required/ },
      { name: 'a field that nobody knows', body: view(1, 'A', { colour: 'red' }), pointer: '/colour', says: /not known/ },
    ];
    it.each(cases)('$name is refused with its place and a sentence, and changes nothing', async ({ body, pointer, says }) => {
      const answer = await first.call('POST', '/api/event', body);
      expect(answer).toMatchObject({ status: 400, type: expect.stringContaining('application/problem+json'), body: { code: 'invalid_request', pointer } });
      expect(String(answer.body['detail'])).toMatch(says);
    });
    it('fails alone in a list', async () => {
      const good = view('list', 'A');
      const { accepted, failed, results: all } = await results([good, ...cases.flatMap(({ body }) => (typeof body === 'string' ? [] : [body])), good]);
      expect([accepted, failed]).toEqual([2, cases.length - 1]);
      expect(all.map(({ index }) => index)).toEqual(all.map((_one, index) => index));
      expect([all.at(0)?.success, all.at(1)?.success, all.at(-1)?.success]).toEqual([true, false, true]);
    });
    it('a broken NDJSON line in the middle, a long one and text that is not UTF-8 fail alone, gzip too', async () => {
      const good = JSON.stringify(view('lines', 'A'));
      const body = Buffer.concat([Buffer.from(`${good}\r\n{"user_id":1,\n\n`), Buffer.from([0x22, 0xff, 0x22, 0x0a]), Buffer.from(`"${'x'.repeat(65_536)}"\n${good}`)]);
      for (const sent of [body, gzipSync(body)]) {
        const { accepted, failed, results: all } = await results(sent, { 'content-type': 'application/x-ndjson' });
        expect([accepted, failed]).toEqual([2, 3]);
        expect(all.map((one) => (one.success ? one.context : one.code))).toEqual(['live', 'malformed_body', 'malformed_body', 'body_too_large', 'live']);
      }
    });
    it.each([
      { name: 'more than 10,000 items', body: `[${'1,'.repeat(10_000)}1]`, status: 413, code: 'body_too_large' },
      { name: 'more than 32 MB unpacked', body: gzipSync(Buffer.alloc(33_554_433, 0x20)), status: 413, code: 'body_too_large' },
      { name: 'damaged gzip', body: gzipSync('[]').subarray(0, 12), status: 400, code: 'malformed_body' },
      { name: 'a broken array', body: '[{"user_id":1},', status: 400, code: 'malformed_body' },
      { name: 'no events', body: '[]', status: 400, code: 'invalid_request' },
    ])('a list with $name is refused as a whole', async ({ body, status, code }) => {
      expect(await first.call('POST', '/api/events', body)).toMatchObject({ status, body: { code } });
    });
  });

  it('takes 10,000 events in one list and writes all of them', async () => {
    const { accepted } = await results(Array.from({ length: 10_000 }, (_, n) => JSON.stringify(view(`many-${n % 700}`, `P-${n % 50}`))).join('\n'), { 'content-type': 'application/x-ndjson' });
    expect(accepted).toBe(10_000);
    await eventually(async () => (await plane.pool.query(`select 1 from events.interaction_logs where user_id like 'many-%'`)).rowCount === 10_000);
  });

  it('takes of a publishable key only the types that it may send, and no packed body that grows large', async () => {
    const page = { authorization: 'Bearer events:write,events:write:view,events:write:click' };
    const event = (type: string) => ({ user_id: 'anon:page', asin: 'a', event_type: type });
    expect(await first.call('POST', '/api/event', event('purchase'), page)).toMatchObject({ status: 403, body: { code: 'forbidden', pointer: '/event_type', detail: expect.stringContaining('view, click, not purchase') } });
    const list = await first.call('POST', '/api/events', [event('view'), event('add_to_cart'), event('click')], page);
    expect(list.body).toMatchObject({ accepted: 2, failed: 1, results: [{ success: true }, { index: 1, code: 'forbidden', pointer: '/event_type' }, { success: true }] });
    expect(await first.call('POST', '/api/events', gzipSync(Buffer.alloc(1_100_000, 32)), page)).toMatchObject({ status: 413, body: { code: 'body_too_large' } });
    expect((await plane.pool.query(`select 1 from events.quarantine where code = 'forbidden'`)).rows).toEqual([]);
    expect((await first.call('GET', '/api/users/anon:page/context')).body).toMatchObject({ recent_items: [{ asin: 'a' }], recent_purchases: [] });
  });

  it('merges an anonymous id: its context, its rows and what comes later, however often it is asked', async () => {
    await first.call('POST', '/api/event', view('anon:5', 'A'));
    const logged = await first.call('POST', '/api/event', view('member', 'B'));
    await rowOf(logged.body['event_id']);
    await eventually(async () => (await plane.pool.query(`select 1 from events.interaction_logs where user_id = 'anon:5'`)).rowCount === 1);
    expect((await first.call('POST', '/api/users/member/merge', { from: 'anon:5' })).body).toEqual({ user_id: 'member', from: 'anon:5', moved: 1 });
    expect((await second.call('POST', '/api/users/member/merge', { from: 'anon:5' })).body).toEqual({ user_id: 'member', from: 'anon:5', moved: 0 });
    const later = await second.call('POST', '/api/event', view('anon:5', 'C'));
    expect(await rowOf(later.body['event_id'])).toMatchObject({ user_id: 'member' });
    expect((await first.call('GET', '/api/users/anon:5/context')).body).toMatchObject({ user_id: 'member', recent_items: [{ asin: 'C' }, { asin: 'B' }, { asin: 'A' }] });
    expect(await first.call('POST', '/api/users/anon:5/merge', { from: 'member' })).toMatchObject({ status: 409 });
    expect(await first.call('POST', '/api/users/other/merge', { from: 'anon:5' })).toMatchObject({ status: 409 });
    expect(await first.call('POST', '/api/users/member/merge', { from: 'member' })).toMatchObject({ status: 400 });
  });

  it('merges the events, too, that a writer who knows nothing of the merge is writing', async () => {
    const { body: { event_id: before } } = await first.call('POST', '/api/event', view('anon:6', 'A'));
    await rowOf(before);
    const blocker = await plane.pool.connect();
    await blocker.query('begin');
    await blocker.query(`insert into events.interaction_logs (event_id, user_id, asin, event_type, ts, metadata, month) select 'held', 'member', asin, event_type, ts, metadata, month from events.interaction_logs where event_id = $1`, [before]);
    await first.call('POST', '/api/event', { ...view('anon:6', 'B'), event_id: 'held' });
    const waiting = (event: string) => plane.pool.query(`select 1 from pg_stat_activity where datname = current_database() and wait_event = $1`, [event]);
    await eventually(async () => ((await waiting('transactionid')).rowCount ?? 0) > 0);
    let isMerged = false;
    const merging = first.call('POST', '/api/users/member/merge', { from: 'anon:6' }).finally(() => void (isMerged = true));
    await eventually(async () => isMerged || ((await waiting('advisory')).rowCount ?? 0) > 0);
    await blocker.query('rollback');
    blocker.release();
    expect(await merging).toMatchObject({ status: 200, body: { moved: 2 } });
    expect(await rowOf('held')).toMatchObject({ user_id: 'member' });
  });
});
