import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getArpuAnalytics, getSubscriberAnalytics, listSubscriberLoads } from '@millrace/contracts';
import { loadFiles, rollBack, underLoadLock } from '@millrace/subscribers';
import type { LoadReport } from '@millrace/subscribers';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

type Row = readonly [isdn: string, month: string, call: string, sms: string, data: string, total: string];

/** Means of 1 to 23 and of -5, two of them from zeros and nulls, and one subscriber without any total. */
const arpuRows: readonly Row[] = [
  ...Array.from({ length: 23 }, (_none, at) => [
    [`subscriber-${at}`, '2026-09', '0.10', '', String(at), at === 4 ? '' : String(at + 1)] as const,
    [`subscriber-${at}`, '2026-10', '0.20', '-1.5', '', at === 4 ? String(at + 1) : `${at + 1}.00`] as const,
  ]).flat(),
  ['subscriber-negative', '2026-10', '-5', '0', '0', '-5'], ['subscriber-without', '2026-10', '7', '', '', ''], ['subscriber-0', '2023-01', '1', '1', '1', '1000000'],
];
const recommendationRows = [
  ['subscriber-0', 'DATA', 'LOW', '900719925474099.33', '0.10', '70'], ['subscriber-1', 'DATA', 'LOW', '0.44', '0.20', ''], ['subscriber-2', 'DATA', 'HIGH', '', '', ''],
  ['subscriber-3', 'AIRTIME', 'MEDIUM', '-10', '1', '50'], ['subscriber-4', 'AIRTIME', 'LOW', '1', '1', '51'], ['subscriber-5', 'AIRTIME', 'LOW', '1', '1', '52'], ['subscriber-6', 'AIRTIME', 'LOW', '1', '1', '52'],
];

async function loadRows(plane: Plane, { recommendations = recommendationRows, arpu = arpuRows } = {}): Promise<LoadReport> {
  const write = async (name: string, lines: readonly (readonly string[])[]): Promise<{ path: string }> => {
    const path = join(plane.directory, name);
    await writeFile(path, `${lines.map((line) => line.join(',')).join('\n')}\n`);
    return { path };
  };
  const files = {
    recommendations: await write('recommendations.csv', [['isdn', 'service_type', 'bad_debt_risk', 'advance_amount', 'revenue_per_advance', 'customer_value_score'], ...recommendations]),
    arpu: await write('arpu.csv', [['isdn', 'data_month', 'arpu_call', 'arpu_sms', 'arpu_data', 'arpu_total'], ...arpu]),
  };
  return await loadFiles(plane.stores, { files, limit: { rows: 1 }, keep: 1 });
}

describe('analytics', () => {
  let plane: Plane;
  let instance: Instance;
  const services = async (from = instance): Promise<Record<string, unknown>> => (await from.call('GET', '/api/ut360/analytics')).body;
  const arpu = async (): Promise<Record<string, unknown>> => (await instance.call('GET', '/api/ut360/analytics/arpu')).body;
  beforeAll(async () => {
    plane = await startPlane();
    instance = await plane.startInstance();
  });
  afterAll(() => plane.close());

  it('are empty before anything was loaded', async () => {
    expect(getSubscriberAnalytics.responses[200].schema.parse(await services())).toMatchObject({ data: [], totals: { subscriber_count: 0, total_advance: 0, avg_value: null }, left_out: 0, generation: 0, freshness: { recommendation: { generation: 0, loaded_at: null } } });
    expect(getArpuAnalytics.responses[200].schema.parse(await arpu())).toMatchObject({ data: [], deciles: [], generation: 0 });
  });

  it('count and sum exactly by service and risk, as plain SQL over the table does', async () => {
    await loadRows(plane);
    const { text } = await instance.call('GET', '/api/ut360/analytics');
    expect(text).toContain('900719925474099.77');
    const { data, totals, generation, freshness } = getSubscriberAnalytics.responses[200].schema.parse(JSON.parse(text));
    expect([generation, freshness.recommendation]).toEqual([1, { generation: 1, loaded_at: expect.any(String), source: 'postgres' }]);
    expect(data.map(({ service_type: service, bad_debt_risk: risk }) => `${service} ${risk}`)).toEqual(['AIRTIME LOW', 'AIRTIME MEDIUM', 'DATA LOW', 'DATA HIGH']);
    const { rows } = await plane.stores.pool.query(`
      select service_type, bad_debt_risk, count(*)::int as subscriber_count, coalesce(sum(advance_amount), 0)::float8 as total_advance, coalesce(sum(revenue_per_advance), 0)::float8 as total_revenue, round(avg(customer_value_score), 4)::float8 as avg_value
      from ut360.recommendations group by 1, 2 order by 1, array_position(array['LOW', 'MEDIUM', 'HIGH'], bad_debt_risk)`);
    expect(data).toEqual(rows);
    expect(data.at(-1)).toMatchObject({ total_advance: 0, avg_value: null });
    expect(totals).toMatchObject({ subscriber_count: 7, total_revenue: 4.3, avg_value: 55 });
  });

  it('cut subscribers into deciles by their mean ARPU of the newest 24 months, with negative values and nulls', async () => {
    const { deciles, data } = getArpuAnalytics.responses[200].schema.parse(await arpu());
    // 24 have a mean: four deciles of three, then of two.
    expect(deciles.map(({ decile, subscribers, mean_from: from, mean_to: to }) => [decile, subscribers, from, to])).toEqual([
      [1, 3, -5, 2], [2, 3, 3, 5], [3, 3, 6, 8], [4, 3, 9, 11], [5, 2, 12, 13], [6, 2, 14, 15], [7, 2, 16, 17], [8, 2, 18, 19], [9, 2, 20, 21], [10, 2, 22, 23], [null, 1, null, null],
    ]);
    expect([...new Set(data.map(({ month }) => month))]).toEqual(['2026-09', '2026-10']);
    expect(data.find(({ month, decile }) => month === '2026-10' && decile === 1)).toEqual({ month: '2026-10', decile: 1, subscribers: 3, call: { mean: -1.5333, total: -4.6 }, sms: { mean: -1, total: -3 }, data: { mean: 0, total: 0 }, total: { mean: -0.6667, total: -2 } });
    expect(data.find(({ month, decile }) => month === '2026-09' && decile === 2)).toMatchObject({ subscribers: 3, sms: { mean: null, total: 0 }, total: { mean: 3.5, total: 7 } });
    expect(data.at(-1)).toMatchObject({ month: '2026-10', decile: null, subscribers: 1, call: { mean: 7, total: 7 }, total: { mean: null, total: 0 } });
    const { rows } = await plane.stores.pool.query(`select to_char(data_month, 'YYYY-MM') as month, count(*)::int as subscribers, sum(arpu_call)::float8 as call, sum(arpu_total)::float8 as total from ut360.subscriber_monthly_arpu where data_month > '2024-10-01' group by 1 order by 1`);
    const sum = (month: string, of: (one: (typeof data)[number]) => number): number => Number(data.filter((one) => one.month === month).reduce((all, one) => all + of(one), 0).toFixed(6));
    expect(rows.map(({ month }: { month: string }) => ({ month, subscribers: sum(month, (one) => one.subscribers), call: sum(month, (one) => one.call.total), total: sum(month, (one) => one.total.total) }))).toEqual(rows);
  });

  it('are computed again when somebody was erased, and for a generation that was made without them', async () => {
    const { pool } = plane.stores;
    await pool.query(`with gone as (delete from ut360.recommendations_1 where isdn = 'subscriber-3' returning 1) update ut360.dataset_generations set rows = rows - (select count(*) from gone) where dataset = 'recommendations' and number = 1`);
    await pool.query('update ut360.pointer set version = version + 1');
    await instance.pointer.refresh();
    expect(await services()).toMatchObject({ totals: { subscriber_count: 6 } });
    await pool.query('delete from ut360.analytics');
    const others = await Promise.all([plane.startInstance(), plane.startInstance()]);
    expect((await Promise.all(others.map(services))).map(({ totals }) => totals)).toEqual(Array.from({ length: 2 }, () => expect.objectContaining({ subscriber_count: 6 })));
    expect((await pool.query('select redis from ut360.analytics')).rows).toEqual([{ redis: 1 }]);
  });

  it('are of one generation each, through loads and a rollback, and go with it', async () => {
    const count = async (): Promise<unknown> => {
      const { generation, totals, freshness } = getSubscriberAnalytics.responses[200].schema.parse(await services());
      return [generation, freshness.recommendation.generation, totals.subscriber_count];
    };
    await loadRows(plane, { recommendations: recommendationRows.slice(0, 3) });
    expect(await count()).toEqual([2, 2, 3]);
    await underLoadLock(plane.stores.pool, (client) => rollBack(client, plane.stores.redis, plane.stores.keys));
    expect(await count()).toEqual([1, 1, 6]);
    await plane.stores.pool.query(`update ut360.generation_sets set retired_at = now() - interval '1 hour'`);
    await loadRows(plane, { recommendations: recommendationRows.slice(0, 2) });
    expect((await plane.stores.pool.query('select redis from ut360.analytics order by 1')).rows).toEqual([{ redis: 1 }, { redis: 3 }]);
  });

  it('are answered without Redis, and from memory without Postgres; 503 for a generation that was never read', async () => {
    const fresh = await plane.startInstance();
    await services();
    plane.postgresTunnel.drop(true);
    expect(await services()).toMatchObject({ generation: 3, totals: { subscriber_count: 2 } });
    expect((await fresh.call('GET', '/api/ut360/analytics')).body).toMatchObject({ code: 'unavailable' });
    expect((await fresh.call('GET', '/api/ut360/analytics/arpu')).status).toBe(503);
    plane.postgresTunnel.drop(false);
    await plane.redis.kill();
    expect(await services(fresh)).toMatchObject({ generation: 3, totals: { subscriber_count: 2 } });
    await plane.redis.restart();
  });

  it('are refused without the scope, and with parameters that they do not have', async () => {
    const stranger = await plane.startInstance({}, ['search:read']);
    expect((await stranger.call('GET', '/api/ut360/analytics')).status).toBe(403);
    expect((await instance.call('GET', '/api/ut360/analytics?by=month')).body).toMatchObject({ code: 'invalid_request', pointer: '/by' });
  });

  it('leave out no row silently, however many services a file has', async () => {
    await loadRows(plane, { recommendations: Array.from({ length: 1_003 }, (_none, at) => [`subscriber-${at}`, `S${at}`, 'LOW', '1', '1', '1']) });
    const { data, left_out: leftOut, totals } = getSubscriberAnalytics.responses[200].schema.parse(await services());
    expect([data.length, leftOut, totals.total_advance]).toEqual([1_000, 3, 1_003]);
  });
});

describe('loads, as an operator sees them', () => {
  let plane: Plane;
  beforeAll(async () => void (plane = await startPlane()));
  afterAll(() => plane.close());

  it('are listed with their states, files and bad rows, and never with an ISDN', async () => {
    const operator = await plane.startInstance({}, ['ops']);
    await loadRows(plane, { arpu: [...arpuRows, ['subscriber-0', '2026-13', '1', '1', '1', '1']] });
    await expect(loadRows(plane, { recommendations: [...recommendationRows, ['84912345678', 'DATA', 'UNKNOWN', '1', '1', '1'], ['84912345679', 'DATA', 'UNKNOWN', '1', '1', '1']] })).rejects.toThrow('are bad');
    // A file without a header: its first row stands in the sentence.
    const path = join(plane.directory, 'headless.csv');
    await writeFile(path, '84912345678,aGVsbG8/d29ybGQ+Zm9v=,LOW\n');
    await expect(loadFiles(plane.stores, { files: { recommendations: { path } }, limit: { rows: 1 }, keep: 1 })).rejects.toThrow('84912345678');
    await plane.stores.pool.query(`insert into ut360.loads (state, report) values ('failed', '{"error": "invalid input: 84912345678"}'), ('running', '{}')`);
    const { status, text, body } = await operator.call('GET', '/api/ut360/loads');
    expect(status).toBe(200);
    const { data } = listSubscriberLoads.responses[200].schema.parse(body);
    expect(data.map(({ state }) => state)).toEqual(['abandoned', 'failed', 'refused', 'refused', 'done']);
    expect(data[4]).toMatchObject({ generation: 1, dry_run: false, subscribers: 25, files: [{ dataset: 'recommendations', file: 'recommendations.csv', rows: 7, bad_rows: 0 }, { dataset: 'arpu', bad_rows: 1 }], bad_rows: [{ dataset: 'arpu', file: 'arpu.csv', column: 'data_month', rows: 1 }] });
    expect(data[3]).toMatchObject({ generation: null, error: expect.stringContaining('recommendations.csv (recommendations) are bad'), bad_rows: [{ column: 'bad_debt_risk', rows: 2 }] });
    expect(data[2]?.error).toContain('the file has no column isdn');
    expect(text).not.toMatch(/84912345678|aGVsbG8/);
    expect((await operator.call('GET', '/api/ut360/loads?limit=1')).body).toMatchObject({ data: [{ state: 'abandoned' }] });
    expect((await operator.call('GET', '/api/ut360/loads?limit=51')).body).toMatchObject({ code: 'invalid_request', pointer: '/limit' });
    await underLoadLock(plane.stores.pool, async () => expect((await operator.call('GET', '/api/ut360/loads?limit=1')).body).toMatchObject({ data: [{ state: 'running' }] }));
    expect((await (await plane.startInstance()).call('GET', '/api/ut360/loads')).status).toBe(403);
  });
});
