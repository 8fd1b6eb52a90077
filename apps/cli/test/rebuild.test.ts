import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Rebuild } from '@millrace/contracts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway } from './fake-gateway.ts';

const job: Rebuild = {
  id: 'search-12', store: 'search', reason: 'manual', phase: 'filling', target: 'search-8', previous: null, rows: 42_000, total: 100_000, rows_per_second: 9_400, eta_seconds: 7, attempts: 0,
  started_at: '2026-11-02T08:00:00.000000Z', updated_at: '2026-11-02T08:00:04.500000Z', finished_at: null, error: null, checks: [], kept_until: null,
};
const done: Rebuild = {
  ...job, phase: 'done', previous: 'search-7', rows: 100_000, rows_per_second: null, eta_seconds: null, finished_at: '2026-11-02T08:00:11.000000Z', kept_until: '2026-11-03T08:00:11.000000Z',
  checks: [{ check: 'counts and versions', passed: true, detail: '100000 products are active, the target had 100000' }],
};
const problem = { type: 'x', title: 'Conflict', status: 409, code: 'conflict', detail: 'search-12 is running already: wait for it or cancel it' };

let gateway: FakeGateway;
/** Answers to GET of one job, one after the other; the last one stays. */
let states: Rebuild[];
let isBusy: boolean;
beforeAll(async () => {
  gateway = await startFakeGateway(({ path }) => {
    if (isBusy) return { status: 409, body: problem };
    if (path.startsWith('GET /api/admin/rebuilds?')) return { body: { data: [job, done], unavailable: ['vectors'] } };
    return path.startsWith('GET') ? { body: states.length > 1 ? states.shift() : states[0] } : { status: 202, body: job };
  });
});
afterAll(() => gateway.close());
beforeEach(() => {
  gateway.forget();
  states = [job, done];
  isBusy = false;
});
const run = (...args: string[]) => runCommand(gateway.url, ['rebuild', ...args]);

describe('millrace rebuild', () => {
  it('starts one and prints its id', async () => {
    expect(await run('vectors', '--force')).toMatchObject({ out: ['search-12'], failure: undefined });
    expect(gateway.asked).toEqual([{ path: 'POST /api/admin/rebuilds', body: { store: 'vectors', force: true } }]);
  });
  it('waits for it with rate and ETA, and tells how to take it back', async () => {
    const { out, err, failure } = await run('search', '--wait');
    expect([failure, err[0]]).toEqual([undefined, 'search-12: filling, 42000 of about 100000 rows, 9400 rows/s, ETA 7 s']);
    expect(out).toEqual(['passed: counts and versions: 100000 products are active, the target had 100000', 'search-8 is live; search-7 is kept until 2026-11-03T08:00:11.000000Z: rebuild rollback search-12']);
  });
  it('fails with the reason where it did not go live', async () => {
    states = [{ ...job, phase: 'failed', finished_at: '2026-11-02T08:00:11.000000Z', error: 'it was not made live: golden queries: lamp is not found' }];
    expect((await run('search', '--wait')).failure).toMatchObject({ name: 'FailedError', message: 'search-12 is failed: it was not made live: golden queries: lamp is not found' });
  });
  it('lists both stores, and says whose worker is away', async () => {
    const { out } = await run('list', '--limit', '5');
    expect(out[0]).toMatch(/^ID +PHASE.*\nsearch-12 +filling +manual +search-8 +- +42000 +100000 +9400 +7 s/);
    expect(out[1]).toBe('vectors: its worker cannot be asked now');
    expect(gateway.asked[0]?.path).toBe('GET /api/admin/rebuilds?limit=5');
  });
  it('cancels and rolls back by id', async () => {
    expect((await run('cancel', 'search-12')).failure).toBeUndefined();
    expect((await run('rollback', 'search-12', '--wait')).failure).toBeUndefined();
    expect(gateway.asked.slice(0, 2).map(({ path }) => path)).toEqual(['POST /api/admin/rebuilds/search-12/cancel', 'POST /api/admin/rebuilds/search-12/rollback']);
    expect(gateway.asked.length).toBeGreaterThan(2);
  });
  it("passes on the API's own words", async () => {
    isBusy = true;
    expect((await run('search')).failure).toMatchObject({ name: 'ProblemError', message: problem.detail });
  });
  it.each([
    [['cache'], 'there is no store cache: use search or vectors'], [['list', '--store', 'cache'], 'there is no store cache'], [['list', '--limit', '0'], '--limit must be'],
    [['cancel', '12'], '12 is no id of a rebuild'], [['rollback', 'cache-1'], 'cache-1 is no id of a rebuild'],
  ])('refuses %j with a sentence, and asks nobody', async (args, sentence) => {
    expect((await run(...args)).failure).toMatchObject({ name: 'UsageError', message: expect.stringContaining(sentence) });
    expect(gateway.asked).toEqual([]);
  });
  it.each([[[]], [['cancel']], [['search', '--fast']]])('refuses %j as wrong usage', async (args) => {
    expect((await run(...args)).failure).toMatchObject({ name: 'CommanderError' });
    expect(gateway.asked).toEqual([]);
  });
});
