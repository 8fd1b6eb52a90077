import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRedisPositions, readEnds } from '@millrace/bus';
import { interactionExportLineSchema, interactions } from '@millrace/contracts';
import type { ExportedInteraction, InteractionExportLine } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createKeys } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { interactionExportRoutes } from '../src/interaction-export.routes.ts';
import { countRows, startPlane, WRITER } from './ingest-kit.ts';
import type { Instance, Plane } from './ingest-kit.ts';

const USERS = 50;
const EACH = 60;

describe('the export of interactions', () => {
  let plane: Plane;
  let instance: Instance;
  let server: HttpServer;
  const logger = createLogger('test', 'silent');
  const serve = (group: string): Promise<HttpServer> =>
    startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [interactionExportRoutes({ pool: plane.pool, positions: createRedisPositions(instance.redis, createKeys()), group, waitMs: 200, logger })] }), { host: '127.0.0.1', port: 0 });
  beforeAll(async () => {
    plane = await startPlane();
    instance = await plane.startInstance();
    server = await serve(WRITER);
    await instance.startWriter();
    const months = ['2024-11-30T23:59:00Z', '2025-01-05T10:00:00Z', '2025-06-01T00:00:00Z'];
    const events = Array.from({ length: USERS * EACH }, (_, n) => ({ event_id: `x-${n}`, user_id: `u-${n % USERS}`, asin: `P-${n % 7}`, event_type: n % 5 === 0 ? 'rate' : 'purchase', ...(n % 5 === 0 && { rating: 4 }), timestamp: months[(n * 13) % 3], metadata: {} }));
    await instance.call('POST', '/api/events', events);
    await eventually(async () => (await countRows(plane.pool)) === events.length && (await instance.bus.lag(interactions, WRITER)).messages === 0);
  });
  afterAll(async () => {
    await server.close();
    await plane.close();
  });
  const ask = (query: Record<string, string> = {}): Promise<Response> => fetch(`http://127.0.0.1:${server.port}/interactions/export?${new URLSearchParams(query).toString()}`);
  const linesOf = (text: string): InteractionExportLine[] => text.trimEnd().split('\n').map((line) => interactionExportLineSchema.parse(JSON.parse(line)));
  const eventsOf = (lines: readonly InteractionExportLine[]): ExportedInteraction[] => lines.flatMap((line) => (line.type === 'interaction' ? [line] : []));

  it('has every event once, by user and for each user by time, over all months', async () => {
    const answer = await ask();
    expect(answer.headers.get('content-encoding')).toBe('gzip');
    const lines = linesOf(await answer.text());
    const events = eventsOf(lines);
    expect(new Set(events.map(({ event_id: id }) => id)).size).toBe(USERS * EACH);
    expect(lines.at(-1)).toEqual({ type: 'end', rows: USERS * EACH, complete: true });
    expect(events.map(({ user_id: user, ts, event_id: id }) => `${user} ${ts} ${id}`)).toEqual(
      events.toSorted((a, b) => (a.user_id < b.user_id ? 1 : a.user_id > b.user_id ? -1 : a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : a.event_id < b.event_id ? -1 : 1)).map(({ user_id: user, ts, event_id: id }) => `${user} ${ts} ${id}`));
    expect(events.filter(({ rating }) => rating === 4)).toHaveLength((USERS * EACH) / 5);
  });

  it('goes on behind the cursor of a page, whatever its size', async () => {
    const whole = eventsOf(linesOf(await (await ask()).text()));
    const read: ExportedInteraction[] = [];
    for (let after: string | undefined; ;) {
      const lines = linesOf(await (await ask({ limit: '701', ...(after !== undefined && { after }) })).text());
      read.push(...eventsOf(lines));
      const page = lines.findLast((line) => line.type === 'page');
      if (page?.type !== 'page') break;
      after = page.after;
    }
    expect(read).toEqual(whole);
  });

  it('is one moment of the log: what is committed while it is read is not in it', async () => {
    const answer = await ask();
    await plane.pool.query(`insert into events.interaction_logs (event_id, user_id, asin, event_type, ts, metadata, month) values ('late', 'u-1', 'P-1', 'view', '2025-01-05', '{}', '2025-01-01')`);
    const events = eventsOf(linesOf(await answer.text()));
    await plane.pool.query(`delete from events.interaction_logs where event_id = 'late'`);
    expect(events).toHaveLength(USERS * EACH);
  });

  it('flags the events that wait for Redis, because the stream brings them again', async () => {
    await plane.pool.query(`insert into events.deferred_events (event) values ('{"meta":{"id":"x-17"}}')`);
    const flagged = eventsOf(linesOf(await (await ask()).text())).filter(({ deferred }) => deferred === true);
    await plane.pool.query('delete from events.deferred_events');
    expect(flagged.map(({ event_id: id }) => id)).toEqual(['x-17']);
  });

  it('begins when the log has what the reader has seen in the stream, and is refused where it does not get there', async () => {
    const ends = await readEnds(instance.redis, createKeys(), 'interactions');
    expect((await ask({ until: JSON.stringify(ends) })).status).toBe(200);
    await instance.redis.xgroup('CREATE', 'interactions', 'standing-still', '0');
    await instance.redis.xadd('interactions', '*', 'event_type', 'heartbeat');
    const behind = await serve('standing-still');
    const query = new URLSearchParams({ until: JSON.stringify(await readEnds(instance.redis, createKeys(), 'interactions')) }).toString();
    const refused = await fetch(`http://127.0.0.1:${behind.port}/interactions/export?${query}`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '10']);
    await instance.redis.xgroup('SETID', 'interactions', 'standing-still', '$');
    const answered = await fetch(`http://127.0.0.1:${behind.port}/interactions/export?${query}`);
    expect(linesOf(await answered.text()).at(-1)).toMatchObject({ type: 'end', complete: true });
    await instance.redis.xgroup('DESTROY', 'interactions', 'standing-still');
    await behind.close();
  });

  it.each([
    { what: 'a cursor of something else', query: { after: 'abc' } }, { what: 'an until that is no JSON', query: { until: '{' } },
    { what: 'an until without ids', query: { until: '{"interactions":"now"}' } }, { what: 'a limit of nothing', query: { limit: '0' } },
  ])('refuses $what', async ({ query }) => {
    expect((await ask(Object.fromEntries(Object.entries(query)))).status).toBe(400);
  });

  it('gives its connection back when the reader goes away in the middle', async () => {
    const socket = connectSocket(server.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('GET /interactions/export HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    socket.destroy();
    await eventually(async () => {
      const { rows } = await plane.pool.query<{ open: number }>(`select count(*)::int as open from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`);
      return rows[0]?.open === 0;
    });
  });
});
