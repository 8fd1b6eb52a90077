import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Rebuild } from '@millrace/contracts';
import { configSchema } from '../src/config.ts';
import { createProgram } from '../src/program.ts';

const job: Rebuild = {
  id: 'search-12', store: 'search', reason: 'manual', phase: 'filling', target: 'search-8', previous: null, rows: 42_000, total: 100_000, rows_per_second: 9_400, eta_seconds: 7, attempts: 0,
  started_at: '2026-11-02T08:00:00.000000Z', updated_at: '2026-11-02T08:00:04.500000Z', finished_at: null, error: null, checks: [], kept_until: null,
};
const done: Rebuild = {
  ...job, phase: 'done', previous: 'search-7', rows: 100_000, rows_per_second: null, eta_seconds: null, finished_at: '2026-11-02T08:00:11.000000Z', kept_until: '2026-11-03T08:00:11.000000Z',
  checks: [{ check: 'counts and versions', passed: true, detail: '100000 products are active, the target had 100000' }],
};
const problem = { type: 'x', title: 'Conflict', status: 409, code: 'conflict', detail: 'search-12 is running already: wait for it or cancel it' };

let server: Server;
let url: string;
let asked: { path: string; body: unknown }[];
/** Answers to GET of one job, one after the other; the last one stays. */
let states: Rebuild[];
let isBusy: boolean;
beforeAll(async () => {
  server = createServer((req, res) => {
    let text = '';
    req.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    req.on('end', () => {
      const path = `${req.method ?? ''} ${req.url ?? ''}`;
      asked.push({ path, body: text === '' ? undefined : JSON.parse(text) });
      const body = isBusy ? problem : path.startsWith('GET /api/admin/rebuilds?') ? { data: [job, done], unavailable: ['vectors'] } : path.startsWith('GET') ? (states.length > 1 ? states.shift() : states[0]) : job;
      res.writeHead(isBusy ? 409 : path.startsWith('GET') ? 200 : 202, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
  states = [job, done];
  isBusy = false;
});

async function run(...args: string[]): Promise<{ out: string[]; err: string[]; failure: unknown }> {
  const [out, err]: [string[], string[]] = [[], []];
  const config = configSchema.parse({ MILLRACE_URL: url, MILLRACE_API_KEY: 'k' });
  const program = createProgram({ config, env: {}, print: (line) => void out.push(line), printError: (line) => void err.push(line) });
  const failure: unknown = await program.parseAsync(['rebuild', ...args], { from: 'user' }).then(() => undefined, (error: unknown) => error);
  return { out, err, failure };
}

describe('millrace rebuild', () => {
  it('starts one and prints its id', async () => {
    expect(await run('vectors', '--force')).toMatchObject({ out: ['search-12'], failure: undefined });
    expect(asked).toEqual([{ path: 'POST /api/admin/rebuilds', body: { store: 'vectors', force: true } }]);
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
    expect(asked[0]?.path).toBe('GET /api/admin/rebuilds?limit=5');
  });
  it('cancels and rolls back by id', async () => {
    expect((await run('cancel', 'search-12')).failure).toBeUndefined();
    expect((await run('rollback', 'search-12', '--wait')).failure).toBeUndefined();
    expect(asked.slice(0, 2).map(({ path }) => path)).toEqual(['POST /api/admin/rebuilds/search-12/cancel', 'POST /api/admin/rebuilds/search-12/rollback']);
    expect(asked.length).toBeGreaterThan(2);
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
    expect(asked).toEqual([]);
  });
  it.each([[[]], [['cancel']], [['search', '--fast']]])('refuses %j as wrong usage', async (args) => {
    expect((await run(...args)).failure).toMatchObject({ name: 'CommanderError' });
    expect(asked).toEqual([]);
  });
});
