import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { quarantinedDetailSchema, quarantinedSchema, replayedQuarantineSchema } from '@millrace/contracts';
import type { QuarantinedBody } from '@millrace/contracts';
import { createKeys } from '@millrace/redis-kit';
import { eventually, startTunnel } from '@millrace/testing';
import { z } from 'zod';
import { eraseQuarantine, insertQuarantined, purgeQuarantine } from '../src/quarantine.repository.ts';
import { startPlane, WRITER } from './ingest-kit.ts';
import type { Answer, Instance, Plane } from './ingest-kit.ts';

const SECRET = { USER_ERASURE_SECRET: 'x'.repeat(32) };
const OPERATOR = { authorization: 'Bearer ops,events:read' };
const MASKED = { authorization: 'Bearer ops' };
const NDJSON = { 'content-type': 'application/x-ndjson' };
const pageSchema = z.object({ data: z.array(quarantinedSchema), page: z.object({ next: z.string().nullable() }) });
const view = (userId: unknown, more: Record<string, unknown> = {}) => ({ user_id: userId, asin: 'P-1', event_type: 'view', ...more });
const isFull = process.env['TEST_SCALE'] === 'full';

describe('the quarantine of event-ingest', () => {
  let plane: Plane;
  let first: Instance;
  beforeAll(async () => {
    plane = await startPlane();
    first = await plane.startInstance(SECRET);
    await first.startWriter();
  });
  afterAll(() => plane.close());
  const empty = () => plane.pool.query('truncate events.quarantine');
  const send = (body: unknown, headers?: Record<string, string>): Promise<Answer> => first.call('POST', '/api/event', body, headers);
  const list = async (query = '', headers: Record<string, string> = OPERATOR): Promise<readonly QuarantinedBody[]> => {
    await first.quarantine.flush();
    const { body } = await first.call('GET', `/api/admin/quarantine?${query}`, undefined, headers);
    expect(body).toMatchObject({ data: expect.any(Array) });
    return pageSchema.parse(body).data;
  };
  const detail = async (id: string | undefined, headers: Record<string, string> = OPERATOR) => quarantinedDetailSchema.parse((await first.call('GET', `/api/admin/quarantine/${id}`, undefined, headers)).body);
  const change = (what: string, body: unknown, headers: Record<string, string> = OPERATOR) => first.call('POST', `/api/admin/quarantine/${what}`, body, headers);
  const replay = async (body: unknown) => replayedQuarantineSchema.parse((await change('replay', body)).body);
  const logged = async (eventId: string | undefined): Promise<readonly Record<string, unknown>[]> => (await plane.pool.query<Record<string, unknown>>('select * from events.interaction_logs where event_id = $1', [eventId])).rows;
  const one = async (body: unknown): Promise<QuarantinedBody> => {
    await empty();
    await send(body);
    const [item] = await list();
    if (!item) throw new Error('nothing is in quarantine');
    return item;
  };

  it('has a refused event with the reason, the place and the text, beside its 4xx', async () => {
    await empty();
    expect((await send(view(123, { event_type: 'hover', event_id: 'q-own' }))).status).toBe(400);
    const [item] = await list();
    expect(item).toMatchObject({
      route: '/api/event', place: null, key_id: 'key_1', event_id: 'q-own', user_id: '123', code: 'invalid_request', pointer: '/event_type', reason: expect.stringContaining('view or click'), is_cut: false, checked_at: null,
    });
    expect(JSON.parse((await detail(item?.id)).raw)).toEqual(view(123, { event_type: 'hover', event_id: 'q-own' }));
  });

  it('has what is no JSON at all, plain, in another encoding, or packed', async () => {
    await empty();
    const broken = '{"user_id":55,"asin":';
    expect((await send(broken)).body).toMatchObject({ code: 'malformed_body' });
    await send(broken, { 'content-type': 'application/json; charset=UTF-8; x=1' });
    await send(gzipSync(broken), { 'content-encoding': 'gzip' });
    expect((await list()).map(({ code, user_id: user }) => [code, user])).toEqual([['malformed_body', '55'], ['malformed_body', '55'], ['malformed_body', '55']]);
  });

  it('has each bad item of a list with its index, and the beginning of a body that is no list', async () => {
    await empty();
    const lines = [JSON.stringify(view('good')), '{"user_id":1,', `"${'x'.repeat(65_536)}"`, JSON.stringify(view('bad', { rating: 9 })), JSON.stringify(view('good'))];
    expect((await first.call('POST', '/api/events', lines.join('\n'), NDJSON)).body).toMatchObject({ accepted: 2, failed: 3 });
    expect((await first.call('POST', '/api/events', '[{"user_id":1},')).status).toBe(400);
    expect((await list()).map(({ place, code, pointer, is_cut: isCut }) => [place, code, pointer, isCut])).toEqual([
      [1, 'malformed_body', '', false], [2, 'body_too_large', '', true], [3, 'invalid_request', '/rating', false], [null, 'malformed_body', '', false],
    ]);
  });

  it('has no event of an unknown product or user: those are valid', async () => {
    await empty();
    expect((await send(view('never-seen', { asin: 'no-such-product' }))).status).toBe(200);
    expect(await list()).toEqual([]);
  });

  it('has nothing of a request that is wrong in another way than its event', async () => {
    await empty();
    expect((await send(view(1), { authorization: 'Bearer events:read' })).status).toBe(403);
    expect((await first.call('POST', '/api/event?x=1', view(1))).status).toBe(400);
    expect((await send('a', { 'content-type': 'text/csv' })).status).toBe(415);
    expect(await list()).toEqual([]);
  });

  it('shows no user and no text without the scope events:read, and cannot be searched for a user then', async () => {
    const { id } = await one(view('jane', { event_type: 'hover', 'jane@example.com': 1 }));
    expect((await list('', MASKED)).map(({ user_id: user, pointer }) => [user, pointer])).toEqual([['***', '/event_type']]);
    expect((await detail(id, MASKED)).raw).toBe('***');
    for (const answer of [await first.call('GET', '/api/admin/quarantine?user=jane', undefined, MASKED), await change('discard', { filter: { user: 'jane' } }, MASKED), await change('replay', { filter: { user: 'jane' } }, MASKED)])
      expect(answer).toMatchObject({ status: 403, body: { code: 'forbidden', detail: expect.stringContaining('events:read') } });
    expect((await first.call('GET', '/api/admin/quarantine', undefined, { authorization: 'Bearer events:read' })).status).toBe(403);
  });

  it('is listed by code, user and time, page by page', async () => {
    await empty();
    for (let n = 0; n < 5; n += 1) await send(view(`u${n % 2}`, { rating: n }));
    await send('{');
    const ids = (await list()).map(({ id }) => id);
    expect(ids).toHaveLength(6);
    expect((await list('code=malformed_body')).map(({ id }) => id)).toEqual(ids.slice(5));
    expect((await list('user=u1')).map(({ id }) => id)).toEqual([ids[1], ids[3]]);
    expect(await list('until=2020-01-01T00:00:00Z')).toEqual([]);
    expect(await list('since=2020-01-01T00:00:00Z')).toHaveLength(6);
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: z.output<typeof pageSchema> = pageSchema.parse((await first.call('GET', `/api/admin/quarantine?limit=4${cursor === '' ? '' : `&cursor=${cursor}`}`, undefined, OPERATOR)).body);
      seen.push(...page.data.map(({ id }) => id));
      cursor = page.page.next;
    }
    expect(seen).toEqual(ids);
    for (const query of ['limit=0', 'cursor=x', 'code=A', 'since=yesterday', 'since=2026-01-01T00:00:00%2B23:37', 'until=2020-01-01T00:00:00Z&since=2021-01-01T00:00:00Z', 'colour=red'])
      expect((await first.call('GET', `/api/admin/quarantine?${query}`, undefined, OPERATOR)).status).toBe(400);
    for (const id of ['0', 'x', '1.5', '99999999999999999999']) expect((await first.call('GET', `/api/admin/quarantine/${id}`, undefined, OPERATOR)).status).toBe(400);
    expect((await first.call('GET', '/api/admin/quarantine/999999999999', undefined, OPERATOR)).status).toBe(404);
  });

  it('is repaired by a valid event only, and logs it once under its own id and time, however often it is replayed', async () => {
    const { id, event_id: eventId, received_at: receivedAt } = await one(view('fix', { event_type: 'hover' }));
    const refused = await first.call('PATCH', `/api/admin/quarantine/${id}`, { item: view('fix', { event_type: 'look' }) }, OPERATOR);
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer: '/item/event_type', detail: expect.stringContaining('view or click') } });
    expect((await first.call('PATCH', `/api/admin/quarantine/${id}`, {}, OPERATOR)).status).toBe(400);
    expect((await detail(id)).repaired_at).toBeNull();
    const fixed = await first.call('PATCH', `/api/admin/quarantine/${id}`, { item: view('fix', { metadata: { page: 1, token: 'abcdefgh' } }) }, OPERATOR);
    expect(fixed.body).toMatchObject({ raw: expect.stringContaining('"token":"***"'), repaired_at: expect.any(String) });
    const kept = (await plane.pool.query('select * from events.quarantine')).rows[0] as Record<string, unknown>;
    expect(await replay({ ids: [id, '999999'] })).toEqual({ count: 1, missing: ['999999'], still_invalid: 0, reasons: [], dry_run: false });
    // A crash after the door and before the row went: the row is there again.
    await plane.pool.query('insert into events.quarantine overriding system value select (jsonb_populate_record(null::events.quarantine, $1::jsonb)).*', [JSON.stringify(kept)]);
    expect(await replay({ filter: {} })).toMatchObject({ count: 1 });
    await eventually(async () => (await logged(eventId)).length > 0);
    expect((await logged(eventId)).map(({ user_id: user, ts }) => [user, new Date(String(ts)).toISOString()])).toEqual([['fix', receivedAt]]);
    expect(await list()).toEqual([]);
  });

  it('keeps what is still invalid with its newest reason, and replays what has become valid', async () => {
    await empty();
    const ahead = new Date(Date.now() + 600_000).toISOString();
    await send(view('soon', { timestamp: ahead, event_id: 'soon-1' }));
    await send(view('never', { rating: 9, event_type: 'rate' }));
    await first.quarantine.flush();
    await plane.pool.query(`update events.quarantine set reason = 'of an older version' where user_id = 'never'`);
    // As if ten minutes had passed.
    await plane.pool.query(`update events.quarantine set raw = replace(raw, $1, $2) where user_id = 'soon'`, [ahead, new Date().toISOString()]);
    expect(await replay({ filter: {}, dry_run: true })).toMatchObject({ count: 1, still_invalid: 1, dry_run: true });
    expect((await list()).map(({ checked_at: at }) => at)).toEqual([null, null]);
    expect(await replay({ filter: {} })).toMatchObject({ count: 1, still_invalid: 1, reasons: [{ pointer: '/rating', reason: 'must be at most 5' }] });
    expect(await list()).toMatchObject([{ user_id: 'never', reason: 'must be at most 5', checked_at: expect.any(String) }]);
    await eventually(async () => (await logged('soon-1')).length === 1);
  });

  it('discards what is named or matches, and says what was not there', async () => {
    await empty();
    for (let n = 0; n < 3; n += 1) await send(view('gone', { rating: n }));
    const ids = (await list()).map(({ id }) => id);
    expect((await change('discard', { filter: {}, dry_run: true })).body).toEqual({ count: 3, missing: [], dry_run: true });
    expect((await change('discard', { ids: [ids[0], '999999'] })).body).toEqual({ count: 1, missing: ['999999'], dry_run: false });
    expect((await change('discard', { filter: { user: 'gone' } })).body).toMatchObject({ count: 2 });
    for (const body of [{}, { ids: [], filter: {} }, { ids: ['1'], filter: {} }, { filter: { colour: 1 } }, { ids: ['x'] }]) expect((await change('discard', body)).status).toBe(400);
    expect(await list()).toEqual([]);
  });

  it('is worked through by two instances at once, each event once', async () => {
    await empty();
    const second = await plane.startInstance(SECRET);
    const now = new Date();
    const rows = isFull ? 5_000 : 500;
    await insertQuarantined(plane.pool, Array.from({ length: rows }, (_, n) => ({
      receivedAt: now, route: '/api/events', place: n, keyId: 'k', eventId: `both-${n}`, userId: 'both', code: 'invalid_request', pointer: '', reason: 'old rule', raw: JSON.stringify(view('both')), bytes: 50, isCut: false,
    })));
    const sums = await Promise.all([first, second].map(async (instance) => replayedQuarantineSchema.parse((await instance.call('POST', '/api/admin/quarantine/replay', { filter: { user: 'both' } }, OPERATOR)).body).count));
    await replay({ filter: {} });
    expect(sums.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(rows);
    expect(await list('user=both')).toEqual([]);
    await eventually(async () => (await plane.pool.query<{ n: number }>(`select count(*)::int as n from events.interaction_logs where user_id = 'both'`)).rows[0]?.n === rows);
  });

  it('is bounded: a flood is answered, counted, and keeps no more than its share', async () => {
    await empty();
    const small = await plane.startInstance({ ...SECRET, QUARANTINE_MAX_ROWS: '40', QUARANTINE_ROWS_PER_MINUTE: '15' });
    const answer = await small.call('POST', '/api/events', '{\n'.repeat(1_000), NDJSON);
    expect(answer.body).toMatchObject({ accepted: 0, failed: 1_000 });
    await small.quarantine.flush();
    expect((await plane.pool.query('select 1 from events.quarantine')).rowCount).toBe(15);
    expect([await small.metric('events_quarantined_total'), await small.metric('events_quarantine_dropped_total')]).toEqual([15, 985]);
  });

  it('holds no answer up while Postgres is away, and has the row when it is back', async () => {
    await empty();
    const tunnel = await startTunnel(plane.databaseUrl);
    const instance = await plane.startInstance({ ...SECRET, EVENT_INGEST_DATABASE_URL: tunnel.url });
    await instance.call('POST', '/api/event', view(1));
    tunnel.drop(true);
    // Postgres cannot be reached before `drop(false)`, below: no answer waits for it.
    expect((await instance.call('POST', '/api/event', view('away', { rating: 9 }))).status).toBe(400);
    await expect(instance.quarantine.flush()).rejects.toThrow();
    const flood = await instance.call('POST', '/api/events', '{\n'.repeat(2_500), NDJSON);
    expect(flood.body).toMatchObject({ failed: 2_500 });
    expect(await instance.metric('events_quarantine_dropped_total')).toBeGreaterThanOrEqual(500);
    tunnel.drop(false);
    await eventually(async () => (await plane.pool.query(`select 1 from events.quarantine where user_id = 'away'`)).rowCount === 1);
    await instance.quarantine.flush();
    tunnel.close();
  });

  it('forgets after 30 days', async () => {
    await one(view('old', { rating: 9 }));
    await plane.pool.query(`update events.quarantine set received_at = now() - interval '31 days'`);
    await send(view('new', { rating: 9 }));
    await first.quarantine.flush();
    await purgeQuarantine(plane.pool);
    expect((await list()).map(({ user_id: user }) => user)).toEqual(['new']);
  });

  it('erases what it has of a user: rows that name the id, and unreadable text that holds it as a word', async () => {
    await empty();
    for (const body of [view('jane.d', { rating: 9 }), view('janeXd', { rating: 9 }), '{"user":"jane.d"', '{"user":"jane.dx"', '{"n":77,', view(77, { rating: 9 }), '{"n":770,', view('ă"b', { rating: 9 }), '{"u":"ă\\"b",,']) await send(body);
    await first.quarantine.flush();
    expect(await eraseQuarantine(plane.pool, ['jane.d', '77', 'ă"b'])).toBe(6);
    expect(await eraseQuarantine(plane.pool, ['jane.d'])).toBe(0);
    expect(await eraseQuarantine(plane.pool, [])).toBe(0);
    const left = (await plane.pool.query<{ raw: string }>('select raw from events.quarantine order by id')).rows.map(({ raw }) => raw);
    expect(left).toEqual([expect.stringContaining('janeXd'), '{"user":"jane.dx"', '{"n":770,']);
  });

  it('has nothing more to do with an erased user: no repair, and a replay removes the row and logs nothing', async () => {
    const { id } = await one(view('ghost', { rating: 9 }));
    await plane.pool.query('update events.quarantine set raw = $1', [JSON.stringify(view('ghost', { event_id: 'ghost-1' }))]);
    const kept = (await plane.pool.query('select * from events.quarantine')).rows[0] as Record<string, unknown>;
    expect((await first.call('DELETE', '/api/users/ghost')).status).toBe(202);
    await eventually(async () => (await send(view('ghost'))).status === 410);
    await empty();
    await plane.pool.query('insert into events.quarantine overriding system value select (jsonb_populate_record(null::events.quarantine, $1::jsonb)).*', [JSON.stringify(kept)]);
    expect(await first.call('PATCH', `/api/admin/quarantine/${id}`, { item: view('ghost') }, OPERATOR)).toMatchObject({ status: 410, body: { code: 'gone', pointer: '/item/user_id' } });
    // The erasure itself may be at the row just now.
    await eventually(async () => {
      expect(await replay({ ids: [id] })).toMatchObject({ count: 0, still_invalid: 0 });
      return (await list('user=ghost')).length === 0;
    });
    expect(await logged(String(kept['event_id']))).toEqual([]);
  });

  it('dead letters have nothing of it: whatever the door takes is written, however odd', async () => {
    const wide = (n: number): string => '𝒳'.repeat(n / 2);
    const odd: readonly Record<string, unknown>[] = [
      view(wide(200), { asin: wide(128), session_id: wide(200), ranking_id: wide(64) }), view(0), view(Number.MAX_SAFE_INTEGER), view("'); drop table x; --"), view('\\'), view('{a,"b"}'), view('null'), view('a\u00A0b'),
      view('t', { timestamp: '2000-01-01T00:00:00Z' }), view('t', { timestamp: 946_684_800_000 }), view('t', { timestamp: '2024-02-29T23:59:59.999999999+14:00' }), view('t', { metadata: { timestamp: null } }),
      view('r', { event_type: 'rate', rating: 1 }), view('r', { event_type: 'rate', rating: 4.999999999999999 }), view('r', { event_type: 'rate', rating: 5 }),
      view('m', { metadata: { big: 1.7976931348623157e308, small: 5e-324, zero: -0, text: '\u0001\u2028\uFFFF', '': '', 'category': { a: [[[1]]] }, brand: null, é: 'x' } }), view('m', { metadata: { a: 'x'.repeat(2_000) } }),
      view('i', { event_id: '.' }), view('i', { event_id: 'x'.repeat(64) }), view('i', { asin: ' . '.trim() + 'a' }), view('i', { asin: '%00' }), view('"\u{1F600}"'),
    ];
    const huge = '{"user_id":"h","asin":"A","event_type":"view","metadata":{"n":1e999,"m":-1e999,"d":0.1e-400}}';
    const { body } = await first.call('POST', '/api/events', [...odd.map((event) => JSON.stringify(event)), huge].join('\n'), NDJSON);
    const results = z.array(z.object({ success: z.boolean(), event_id: z.string().optional() })).parse(body['results']);
    const ids = results.flatMap(({ event_id: id }) => id ?? []);
    expect(ids.length).toBeGreaterThan(15);
    await eventually(async () => (await plane.pool.query('select 1 from events.interaction_logs where event_id = any($1)', [ids])).rowCount === ids.length);
    expect(await first.redis.xlen(createKeys().topic('interactions').deadLetters(WRITER))).toBe(0);
  });
});
