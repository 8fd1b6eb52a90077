import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { sampleSubscribers } from '@millrace/sample-subscribers';
import { createLogger, createMetrics } from '@millrace/service';
import { qualified } from '@millrace/subscribers';
import { eventually } from '@millrace/testing';
import { createPiiReads } from '../src/pii-reads.ts';
import { openRows } from '../src/segments/postgres-rows.ts';
import type { SegmentRows } from '../src/segments/segment-reader.ts';
import { segmentRoutes } from '../src/segments/segment.routes.ts';
import { csvCell } from '../src/segments/segment-text.ts';
import type { Cell } from '../src/segments/segment-text.ts';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

const COUNT = 2_500;
const ALL = ['ut360:read', 'ut360:write', 'pii:read'];
const everybody = { or: [{ field: 'bad_debt_risk', op: 'in', value: ['LOW', 'MEDIUM', 'HIGH'] }] };

describe('cells of CSV', () => {
  it.each<readonly [Cell, string]>([
    ['=1+1', "'=1+1"], ['+84912', "'+84912"], ['-2+3', "'-2+3"], ['@SUM(A1)', "'@SUM(A1)"], ['\t=1', "'\t=1"], ['\r=1', '"\'\r=1"'], ['\n=1', '"\'\n=1"'], ['＝1', "'＝1"], ['=HYPERLINK("x","y")', '"\'=HYPERLINK(""x"",""y"")"'],
    [-5, '-5'], ['-5', '-5'], ['-0.25', '-0.25'], [0, '0'], [1e-7, '1e-7'], [null, ''], ['', ''], ['a,b', '"a,b"'], ['a"b', '"a""b"'], [' a', '" a"'], ['84912345678', '84912345678'],
  ])('%j is %j', (cell, text) => expect(csvCell(cell)).toBe(text));
});

describe('exports of segments', () => {
  let plane: Plane;
  let instance: Instance;
  let postgres: Instance;
  const loaded = [...sampleSubscribers({ count: COUNT })];
  const exported = (from: Instance, id: number, query = ''): ReturnType<Instance['call']> => from.call('GET', `/api/ut360/segments/${id}/export${query}`);
  const create = async (body: Record<string, unknown>): Promise<number> => Number((await instance.call('POST', '/api/ut360/segments', body)).body['id']);
  const reads = async (): Promise<number> => (await plane.stores.pool.query<{ isdns: number }>(`select coalesce(sum(isdns), 0)::int as isdns from ut360.pii_reads where operation = 'exportSegment'`)).rows[0]?.isdns ?? 0;
  beforeAll(async () => {
    plane = await startPlane();
    await plane.load({ count: COUNT });
    instance = await plane.startInstance({ UT360_PII_DAILY_QUOTA: '50000' }, ALL);
    postgres = await plane.startInstance({ UT360_PII_DAILY_QUOTA: '50000', UT360_SEGMENT_MEMORY_MB: '0' }, ALL);
  });
  afterAll(() => plane.close());

  it('have the rows of the campaign in its order, counted against the quota, and the same from both stores', async () => {
    const wanted = loaded.filter(({ recommendation: r }) => r['bad_debt_risk'] === 'LOW' && Number(r['customer_value_score']) >= 70 && Number(r['advance_readiness_score']) >= 80)
      .toSorted((a, b) => Number(b.recommendation['priority_score']) - Number(a.recommendation['priority_score']) || Buffer.compare(Buffer.from(a.isdn), Buffer.from(b.isdn)));
    const text = ['isdn,advance_amount,revenue_per_advance,customer_value_score', ...wanted.map(({ isdn, recommendation: r }) => [isdn, r['advance_amount'], r['revenue_per_advance'], r['customer_value_score']].map((cell) => csvCell(cell ?? null)).join(',')), ''].join('\n');
    for (const from of [instance, postgres]) {
      const before = await reads();
      const answer = await exported(from, 1);
      expect(answer.text).toBe(text);
      expect([answer.status, answer.headers.get('content-type'), answer.headers.get('content-disposition'), answer.headers.get('x-row-count'), answer.headers.get('cache-control')])
        .toEqual([200, 'text/csv; charset=utf-8; header=present', 'attachment; filename="segment-1-generation-1.csv"', String(wanted.length), 'no-store']);
      expect(await reads()).toBe(before + wanted.length);
    }
    await eventually(async () => (await plane.stores.pool.query(`select 1 from ut360.segments where id = 1 and (last_count ->> 'count')::int = $1`, [wanted.length])).rowCount === 1);
  });

  it('are NDJSON with texts byte for byte and an end, of the columns and as many rows as asked for', async () => {
    const id = await create({ name: 'everybody', query: everybody, limit: 2_400 });
    const { text } = await exported(instance, id, '?format=ndjson&columns=isdn,cluster_group,arpu_avg_6m');
    const lines = text.trimEnd().split('\n').map((line): unknown => JSON.parse(line));
    const byIsdn = loaded.toSorted((a, b) => Buffer.compare(Buffer.from(a.isdn), Buffer.from(b.isdn))).slice(0, 2_400);
    expect(lines).toEqual([...byIsdn.map(({ isdn, recommendation: r }) => ({ isdn, cluster_group: r['cluster_group'], arpu_avg_6m: r['arpu_avg_6m'] })), { type: 'end', rows: 2_400, generation: 1 }]);
    expect((await exported(instance, id, '?limit=3')).text.trimEnd().split('\n')).toHaveLength(4);
    expect((await exported(postgres, id, '?format=ndjson&limit=2')).text.trimEnd().split('\n')).toHaveLength(3);
    const none = await create({ name: 'nobody', query: { field: 'service_type', op: 'eq', value: 'NONE' } });
    expect([(await exported(instance, none)).text, (await exported(postgres, none)).text]).toEqual(['isdn\n', 'isdn\n']);
  });

  it('refuse wrong parameters, unknown segments and keys without the scope, and count nothing then', async () => {
    const before = await reads();
    for (const [query, pointer] of [['?format=xml', '/format'], ['?limit=0', '/limit'], ['?columns=isdn,extra', '/columns/1'], ['?columns=isdn,isdn', '/columns/1'], ['?columns=', '/columns/0'], ['?rows=1', '/rows']] as const)
      expect((await exported(instance, 1, query)).body).toMatchObject({ status: 400, code: 'invalid_request', pointer });
    expect((await exported(instance, 999)).status).toBe(404);
    const reader = await plane.startInstance();
    expect((await exported(reader, 1)).body).toMatchObject({ status: 403, code: 'forbidden', detail: expect.stringContaining('pii:read') });
    expect((await instance.call('HEAD', '/api/ut360/segments/1/export')).headers.get('x-row-count')).toMatch(/^\d+$/);
    expect(await reads()).toBe(before);
  });

  it('send nothing where the rows are more than is left of the quota', async () => {
    const before = await reads();
    const poor = await plane.startInstance({ UT360_PII_DAILY_QUOTA: '1' }, ALL);
    expect((await exported(poor, 1)).body).toMatchObject({ status: 429, code: 'too_many_requests' });
    expect(await reads()).toBe(before);
  });

  describe('of a reader that does not end by itself', () => {
    const closed: string[] = [];
    const rows = (name: string, pieces: () => AsyncGenerator<readonly (readonly Cell[])[]>): SegmentRows => ({ rows: 1_000_000, count: 1_000_000, pointer: instance.pointer.current, pieces: pieces(), close: async () => void closed.push(name) });
    async function* forever(): AsyncGenerator<readonly (readonly Cell[])[]> {
      for (;;) yield Array.from({ length: 1_000 }, () => ['84912345678', 1]);
    }
    async function* broken(): AsyncGenerator<readonly (readonly Cell[])[]> {
      yield [['84912345678', 1]];
      await Promise.resolve();
      throw new Error('the connection broke');
    }
    async function* short(): AsyncGenerator<readonly (readonly Cell[])[]> {
      yield [['84912345678', 1]];
    }
    /** The routes over rows of the test's own, in a server of its own. */
    const serve = async (name: string, pieces: () => AsyncGenerator<readonly (readonly Cell[])[]>, stallMs = 30_000): Promise<{ readonly url: string; readonly close: () => Promise<void> }> => {
      const { pool } = plane.stores;
      const logger = createLogger('test', 'silent');
      const routes = segmentRoutes({ pool, logger, stallMs, piiReads: createPiiReads(pool, 1_000_000_000), askPointer: async () => instance.pointer.current, reader: { count: async () => await Promise.reject(new Error('not asked')), open: async () => rows(name, pieces) } });
      const verifier = { verify: async () => ({ issuer: 'gateway', subject: 'key_2', scopes: ALL }) };
      const server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [authenticate(verifier, ['gateway']), routes] }), { host: '127.0.0.1', port: 0 });
      return { url: `http://127.0.0.1:${server.port}/api/ut360/segments/1/export?columns=isdn,advance_amount`, close: () => server.close(0) };
    };
    const headers = { authorization: 'Bearer t' };

    it.each([['rows are missing', short], ['the store fails', broken]] as const)('break off where %s: no reader takes them for whole', async (name, pieces) => {
      const server = await serve(name, pieces);
      const answer = await fetch(server.url, { headers });
      expect(answer.status).toBe(200);
      await expect(answer.text()).rejects.toThrow();
      await eventually(() => closed.includes(name));
      await server.close();
    });

    it('are closed when the reader goes, or takes nothing any more', async () => {
      const gone = new AbortController();
      const server = await serve('gone', forever);
      const answer = await fetch(server.url, { headers, signal: gone.signal });
      await answer.body?.getReader().read();
      gone.abort();
      await eventually(() => closed.includes('gone'));
      await server.close();
      const slow = await serve('stalled', forever, 50);
      const stuck = await fetch(slow.url, { headers });
      await eventually(() => closed.includes('stalled'));
      await expect(stuck.text()).rejects.toThrow();
      await slow.close();
    });

    it('are eight at once, one more is asked to wait', async () => {
      const held = Promise.withResolvers<void>();
      const server = await serve('many', async function* waiting() {
        yield [['84912345678', 1]];
        await held.promise;
      });
      const gone = new AbortController();
      const answers = await Promise.all(Array.from({ length: 8 }, () => fetch(server.url, { headers, signal: gone.signal })));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      const refused = await fetch(server.url, { headers });
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '10']);
      gone.abort();
      held.resolve();
      await Promise.all(answers.map(async (answer) => await expect(answer.text()).rejects.toThrow()));
      await eventually(async () => {
        const again = await fetch(server.url, { headers, signal: AbortSignal.timeout(5_000) });
        await again.body?.cancel();
        return again.status === 200;
      });
      await server.close();
    });
  });

  it('go on to their end by Postgres although their generation is removed, and hold back nobody who removes it', async () => {
    const { pool } = plane.stores;
    await plane.load({ count: 100 });
    const at = { ...instance.pointer.current, recommendations: 1 };
    const opened = await openRows(pool, at, { query: { field: 'bad_debt_risk', op: 'in', value: ['LOW', 'MEDIUM', 'HIGH'] }, order: [], columns: ['isdn'], limit: COUNT });
    await pool.query(`set lock_timeout = '10s'; drop table ${qualified('recommendations', 1)}`);
    const isdns: Cell[] = [];
    for await (const piece of opened.pieces) isdns.push(...piece.map(([isdn]) => isdn ?? null));
    await opened.close();
    expect(isdns).toEqual(loaded.map(({ isdn }) => isdn).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    expect((await exported(postgres, 1)).headers.get('content-disposition')).toContain('generation-2');
  });
});
