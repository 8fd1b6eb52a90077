import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { campaignSegment, getSegment, listSegments, segmentNumberFields, segmentTextFields } from '@millrace/contracts';
import type { SegmentQuery } from '@millrace/contracts';
import { sampleSubscribers } from '@millrace/sample-subscribers';
import { publishPointer, readPointer, rollBack, underLoadLock } from '@millrace/subscribers';
import { eventually } from '@millrace/testing';
import { z } from 'zod';
import { createLivePointer } from '../src/live-pointer.ts';
import { createLiveColumns, readColumns } from '../src/segments/live-columns.ts';
import { createSegmentReader } from '../src/segments/segment-reader.ts';
import type { RowsWanted, SegmentReader } from '../src/segments/segment-reader.ts';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

const COUNT = 3_000;
const ALL = ['ut360:read', 'ut360:write', 'pii:read'];
const low: SegmentQuery = { field: 'bad_debt_risk', op: 'eq', value: 'LOW' };
const { signal } = new AbortController();
const sourceOf = (body: Record<string, unknown>): unknown => z.object({ freshness: z.object({ recommendation: z.object({ source: z.string() }) }) }).parse(body).freshness.recommendation.source;
const numberOf = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN);

/** The same numbers every time. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

describe('segments', () => {
  let plane: Plane;
  let memory: Instance;
  let postgres: Instance;
  const loaded = [...sampleSubscribers({ count: COUNT })];
  const preview = async (instance: Instance, query: unknown): ReturnType<Instance['call']> => await instance.call('POST', '/api/ut360/segments/preview', { query });
  const inMemory = (instance: Instance): Promise<unknown> => eventually(async () => sourceOf((await preview(instance, low)).body) === 'memory');
  const create = async (body: Record<string, unknown>): Promise<number> => z.object({ id: z.number() }).parse((await memory.call('POST', '/api/ut360/segments', body)).body).id;
  beforeAll(async () => {
    plane = await startPlane();
    await plane.load({ count: COUNT });
    // Absent values, an empty text, and texts that sort otherwise by words than by bytes.
    await plane.stores.pool.query(`update ut360.recommendations_1 set arpu_avg_6m = null where advance_amount < 120; update ut360.recommendations_1 set cluster_group = null where cluster_group = '2';
      update ut360.recommendations_1 set arpu_trend = case when arpu_trend = 'UP' then '' else 'Ơn' end where arpu_trend <> 'DOWN'; update ut360.recommendations_1 set arpu_growth_rate = -0.0 where subscriber_type = 'POSTPAID'`);
    memory = await plane.startInstance({ UT360_PII_DAILY_QUOTA: '1000000' }, ALL);
    postgres = await plane.startInstance({ UT360_PII_DAILY_QUOTA: '1000000', UT360_SEGMENT_MEMORY_MB: '0' }, ALL);
    await inMemory(memory);
  });
  afterAll(() => plane.close());

  it('are counted exactly, in memory and by Postgres', async () => {
    const expected = loaded.filter(({ recommendation: r }) => r['bad_debt_risk'] === 'LOW' && numberOf(r['customer_value_score']) >= 70).length;
    const query = { and: [low, { field: 'customer_value_score', op: 'gte', value: 70 }] };
    expect((await preview(memory, query)).body).toMatchObject({ count: expected, total: COUNT, freshness: { recommendation: { generation: 1, source: 'memory', loaded_at: expect.any(String) } } });
    expect((await preview(postgres, query)).body).toMatchObject({ count: expected, total: COUNT, freshness: { recommendation: { generation: 1, source: 'postgres' } } });
  });

  it('compare absent values as SQL does: neither a comparison nor its not is true', async () => {
    const absent = { field: 'arpu_avg_6m', op: 'is_null' };
    const over = { field: 'arpu_avg_6m', op: 'gte', value: 200 };
    const countOf = async (query: unknown): Promise<number> => z.object({ count: z.number() }).parse((await preview(memory, query)).body).count;
    const [none, yes, no] = [await countOf(absent), await countOf(over), await countOf({ not: over })];
    expect(none).toBeGreaterThan(0);
    expect(none + yes + no).toBe(COUNT);
    expect(await countOf({ or: [over, { not: over }, absent] })).toBe(COUNT);
  });

  it('refuse a wrong query at its place', async () => {
    const deep = Array.from({ length: 9 }).reduce<unknown>((inner) => ({ not: inner }), low);
    const cases: readonly (readonly [unknown, string, string])[] = [
      [{ and: [low, { field: 'isdn', op: 'eq', value: 'x' }] }, '/query/and/1/field', 'subscriber_type'],
      [{ not: { field: 'priority_score', op: 'like', value: 1 } }, '/query/not/op', 'between'],
      [{ field: 'service_type', op: 'gte', value: 'A' }, '/query/op', 'eq, in or is_null'],
      [{ field: 'priority_score', op: 'gte', value: '70' }, '/query/value', 'must be a number'],
      [{ field: 'bad_debt_risk', op: 'in', value: ['LOW', 'NONE'] }, '/query/value/1', 'LOW, MEDIUM or HIGH'],
      [{ field: 'service_type', op: 'eq', value: 'a\0' }, '/query/value', 'cannot be stored'],
      [{ field: 'priority_score', op: 'between', value: [2, 1] }, '/query/value/1', 'less'],
      [{ field: 'priority_score', op: 'is_null', value: true }, '/query/value', 'takes no value'],
      [{ field: 'priority_score', op: 'gte' }, '/query/value', 'is required'],
      [{ and: [] }, '/query/and', 'at least one'], [{ and: [low], or: [low] }, '/query/or', 'beside and'], [{}, '/query/field', 'must be'], [7, '/query', 'must be an object'],
      [deep, `/query${'/not'.repeat(8)}`, 'deeper than 8'],
      [{ or: Array.from({ length: 26 }, () => ({ and: [low, low] })) }, '/query', 'more than 50 conditions'],
      [{ field: 'priority_score', op: 'in', value: Array.from({ length: 501 }, (_none, at) => at) }, '/query', 'more than 500 values'],
    ];
    for (const [query, pointer, detail] of cases) expect((await preview(memory, query)).body).toMatchObject({ status: 400, code: 'invalid_request', pointer, detail: expect.stringContaining(detail) });
    expect((await memory.call('POST', '/api/ut360/segments/preview', {})).body).toMatchObject({ status: 400, pointer: '/query' });
  });

  describe('by memory and by Postgres', () => {
    let both: readonly [SegmentReader, SegmentReader];
    beforeAll(async () => {
      const { pool } = plane.stores;
      const columns = await readColumns(pool, 1, { limitBytes: 100_000_000, signal });
      const pointer = createLivePointer({ pool, first: memory.pointer.current, onBehind: () => undefined, onNew: () => undefined });
      const common = { pool, exportPool: pool, askPointer: async () => pointer.current, refreshPointer: async () => pointer.current };
      const none = createLiveColumns({ pool, limitBytes: 0, logger: { info: () => undefined, warn: () => undefined } });
      both = [createSegmentReader({ ...common, columns: { ...none, at: () => columns } }), createSegmentReader({ ...common, columns: none })];
    });
    const random = createRandom(7);
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] ?? (() => { throw new Error('nothing to pick'); })();
    const valueOf = (field: string): unknown => pick(loaded).recommendation[field] ?? 0;
    const anyCondition = (): SegmentQuery => {
      if (random(2) === 0) {
        const field = pick(segmentTextFields);
        const text = (): string => (random(4) === 0 ? pick(['', 'Ơn', 'nobody']) : String(valueOf(field)));
        if (field === 'bad_debt_risk') return pick<SegmentQuery>([{ field, op: 'eq', value: 'LOW' }, { field, op: 'in', value: ['LOW', 'HIGH'] }, { field, op: 'is_null' }]);
        return pick<SegmentQuery>([{ field, op: 'eq', value: text() }, { field, op: 'in', value: [text(), text()] }, { field, op: 'is_null' }]);
      }
      const field = pick(segmentNumberFields);
      const number = (): number => (random(5) === 0 ? pick([0, -0, -1e300, 5e-324, 99.95]) : numberOf(valueOf(field)));
      const [a, b] = [number(), number()];
      const op = pick(['eq', 'gte', 'gt', 'lte', 'lt', 'in', 'between', 'is_null'] as const);
      if (op === 'is_null') return { field, op };
      if (op === 'in') return { field, op, value: [a, b] };
      return op === 'between' ? { field, op, value: [Math.min(a, b), Math.max(a, b)] } : { field, op, value: a };
    };
    const anyQuery = (depth: number): SegmentQuery => {
      const kind = depth === 0 ? 3 : random(4);
      if (kind === 3) return anyCondition();
      if (kind === 2) return { not: anyQuery(depth - 1) };
      const parts = Array.from({ length: 1 + random(3) }, () => anyQuery(depth - 1));
      return kind === 0 ? { and: parts } : { or: parts };
    };
    const rowsOf = async (reader: SegmentReader, wanted: RowsWanted): Promise<unknown> => {
      const opened = await reader.open(wanted);
      try {
        const pieces: unknown[] = [];
        for await (const piece of opened.pieces) pieces.push(...piece);
        return { rows: opened.rows, count: opened.count, pieces };
      } finally {
        await opened.close();
      }
    };

    it('have the same number, the same rows and the same order, for random queries', async () => {
      for (let run = 0; run < 60; run += 1) {
        const query = anyQuery(4);
        const [a, b] = await Promise.all(both.map((reader) => reader.count(query)));
        expect({ query, count: a?.count, total: a?.total }).toEqual({ query, count: b?.count, total: b?.total });
        if (run % 3 > 0) continue;
        const order = Array.from({ length: random(3) }, () => ({ field: pick(['isdn', ...segmentTextFields, ...segmentNumberFields] as const), direction: pick(['asc', 'desc'] as const) }));
        const wanted: RowsWanted = { query, order, columns: ['isdn', ...segmentTextFields, ...segmentNumberFields], limit: pick([5, 2_000, 2_500, COUNT]) };
        const [mine, theirs] = await Promise.all(both.map((reader) => rowsOf(reader, wanted)));
        expect({ order, query, found: mine }).toEqual({ order, query, found: theirs });
      }
    });
  });

  it('ship with the campaign, which can neither be changed nor deleted', async () => {
    const { body } = await memory.call('GET', '/api/ut360/segments/1');
    const { name, description, query, order_by, limit, columns, last_count: last } = getSegment.responses[200].schema.parse(body);
    expect({ name, description, query, order_by, limit, columns }).toEqual(campaignSegment);
    expect(last).toMatchObject({ generation: 1, count: loaded.filter(({ recommendation: r }) => r['bad_debt_risk'] === 'LOW' && numberOf(r['customer_value_score']) >= 70 && numberOf(r['advance_readiness_score']) >= 80).length });
    expect((await memory.call('DELETE', '/api/ut360/segments/1')).body).toMatchObject({ status: 409, code: 'conflict' });
    expect((await memory.call('PUT', '/api/ut360/segments/1', { name: 'mine', query: low })).body).toMatchObject({ status: 409 });
  });

  it('are saved, listed, changed under their ETag, and deleted', async () => {
    const { body: created, status } = await memory.call('POST', '/api/ut360/segments', { name: '  Low ', query: low, order_by: [{ field: 'arpu_avg_6m' }], limit: 10 });
    expect([status, created]).toEqual([201, expect.objectContaining({ name: 'Low', description: '', query: low, order_by: [{ field: 'arpu_avg_6m', direction: 'asc' }], limit: 10, columns: ['isdn'], created_by: 'key_1', is_shipped: false, last_count: expect.objectContaining({ generation: 1 }) })]);
    const path = `/api/ut360/segments/${String(created['id'])}`;
    expect((await memory.call('POST', '/api/ut360/segments', { name: 'LOW', query: low })).body).toMatchObject({ status: 409, code: 'duplicate', pointer: '/name' });
    expect((await memory.call('POST', '/api/ut360/segments', { name: 'x', query: low, order_by: [{ field: 'isdn' }, { field: 'isdn' }], limit: 0, columns: ['extra'] })).body).toMatchObject({ status: 400, errors: expect.arrayContaining([expect.objectContaining({ pointer: '/order_by/1' }), expect.objectContaining({ pointer: '/limit' }), expect.objectContaining({ pointer: '/columns/0' })]) });
    const { body: changed } = await memory.call('PUT', path, { name: 'low', query: { not: low } });
    expect(changed).toMatchObject({ name: 'low', limit: null, version: expect.any(Number), created_at: created['created_at'] });
    expect(changed['version']).not.toBe(created['version']);
    expect((await memory.call('PUT', path, { name: 'low', query: low }, { 'if-match': `"${String(created['version'])}.${String(created['version'])}"` })).body).toMatchObject({ status: 412 });
    const { data, page } = listSegments.responses[200].schema.parse((await memory.call('GET', '/api/ut360/segments?limit=1')).body);
    expect(data.map(({ id }) => id)).toEqual([1]);
    expect(listSegments.responses[200].schema.parse((await memory.call('GET', `/api/ut360/segments?limit=1&cursor=${page.next ?? ''}`)).body).data).toMatchObject([{ name: 'low', query: { not: low } }]);
    expect((await memory.call('DELETE', path)).status).toBe(204);
    expect((await memory.call('DELETE', path)).status).toBe(404);
    const reader = await plane.startInstance();
    expect((await reader.call('POST', '/api/ut360/segments', { name: 'x', query: low })).body).toMatchObject({ code: 'forbidden' });
  });

  it('follow a load and a rollback, each answer wholly of one generation', async () => {
    const countOf = (body: Record<string, unknown>): string => JSON.stringify([body['total'], z.object({ freshness: z.object({ recommendation: z.object({ generation: z.number() }) }) }).parse(body).freshness.recommendation.generation]);
    const seen = new Set<string>();
    const ended = new AbortController();
    const watch = (async () => {
      while (!ended.signal.aborted) for (const instance of [memory, postgres]) seen.add(countOf((await preview(instance, low)).body));
    })();
    await plane.load({ count: 200, seed: 2 });
    await eventually(async () => sourceOf((await preview(memory, low)).body) === 'memory' && (await preview(memory, low)).body['total'] === 200);
    const { pool, redis, keys } = plane.stores;
    await underLoadLock(pool, (client) => rollBack(client, redis, keys));
    await eventually(async () => sourceOf((await preview(memory, low)).body) === 'memory' && (await preview(memory, low)).body['total'] === COUNT);
    ended.abort();
    await watch;
    expect([...seen].toSorted()).toEqual(['[200,2]', `[${COUNT},1]`]);
  });

  it('forget who was removed from the live generation as soon as the pointer has a new version', async () => {
    const { pool, redis, keys } = plane.stores;
    await inMemory(memory);
    await pool.query(`begin; delete from ut360.recommendations_1 where isdn = '${loaded[0]?.isdn ?? ''}'; update ut360.pointer set version = version + 1; commit`);
    await publishPointer(redis, keys, await readPointer(pool));
    expect((await preview(memory, low)).body).toMatchObject({ total: COUNT - 1 });
    await inMemory(memory);
    expect((await preview(memory, low)).body).toMatchObject({ total: COUNT - 1 });
  });

  it('are counted by Postgres where they do not fit into the memory that they may take', async () => {
    const { pool } = plane.stores;
    await expect(readColumns(pool, 1, { limitBytes: 50_000, signal })).rejects.toThrow('take more than');
    await expect(readColumns(pool, 1, { limitBytes: COUNT * 96, signal })).rejects.toThrow('take more than');
    expect((await readColumns(pool, 0, { limitBytes: 1_000, signal })).rows).toBe(0);
    expect(await create({ name: 'all', query: { or: [low, { not: low }] } })).toBeGreaterThan(1);
  });
});
