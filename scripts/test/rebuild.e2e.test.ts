import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { listRebuilds } from '../../libs/contracts/src/index.ts';
import type { Rebuild, RebuildStoreName } from '../../libs/contracts/src/index.ts';
import { createPool } from '../../libs/database/src/index.ts';
import { eventually, uniqueName } from '../../libs/testing/src/index.ts';
import type { Plane } from './support/plane.ts';
import { CATALOGUE_APPS, NOT_CACHED, ndjson, startPlane } from './support/plane.ts';

const isFull = process.env['TEST_SCALE'] === 'full';
const COUNT = isFull ? 50_000 : 4_000;
const KILLS = 3;

let plane: Plane;
let pool: ReturnType<typeof createPool>;
beforeAll(async () => {
  // One fit, at the first fill: a fit that falls due on its own would be a rebuild too.
  plane = await startPlane({ MODEL_FIT_MIN_PRODUCTS: '1000000', REBUILD_CHECK_MS: '200' }, { apps: CATALOGUE_APPS });
  pool = createPool({ url: plane.stack.env['DATABASE_URL'] ?? '', name: 'rebuild-e2e', max: 2 });
  await plane.import(ndjson(products('base', COUNT)));
  await plane.agrees(300_000);
}, 480_000);
afterAll(async () => {
  await pool.end();
  await plane.stop();
});

function* products(category: string, count: number, over: Record<string, unknown> = {}): Generator<Record<string, unknown>> {
  for (let n = 0; n < count; n += 1) yield { sku: `${category}-${n}`, name: `Bình giữ nhiệt ${n}`, description: `Thermal bottle number ${n} keeps water cold for ${n % 24} hours`, category, brand: `b${n % 5}`, price: 10 + n, stock: n % 3, ...over };
}
const jobs = async (store: RebuildStoreName): Promise<readonly Rebuild[]> => (await plane.client.call(listRebuilds, { query: { store } })).body.data;
/** Over HTTP: an error while its worker is down. */
const jobOf = async (id: string): Promise<Rebuild> => {
  const { status, body } = await plane.call('GET', `/api/admin/rebuilds/${id}`);
  if (status !== 200) throw new Error(`${id}: ${status}`);
  return body as unknown as Rebuild;
};
async function start(store: RebuildStoreName): Promise<string> {
  const { status, body } = await plane.call('POST', '/api/admin/rebuilds', { store });
  expect([status, body['store'], body['phase']]).toEqual([202, store, 'filling']);
  return String(body['id']);
}
const done = (id: string, timeoutMs = 300_000): Promise<Rebuild> => eventually(async () => {
  const job = await jobOf(id);
  return job.finished_at !== null && job;
}, { timeoutMs, everyMs: 50 });

const workers = { search: { schema: 'search', app: 'es-sync-worker' }, vectors: { schema: 'embedding', app: 'embedding-worker' } } as const;
const jobRow = z.object({ phase: z.string(), target: z.string().nullable(), rows: z.coerce.number(), error: z.string().nullable() });
type JobRow = z.output<typeof jobRow>;
/** As its worker saved it last: Postgres tells while the worker is down or starting, too. */
async function savedJob(store: RebuildStoreName, id: string): Promise<JobRow> {
  const { rows } = await pool.query(`select phase, target, rows, error from ${workers[store].schema}.rebuilds where id = $1`, [id.replace(`${store}-`, '')]);
  return jobRow.parse(rows[0]);
}
const GATE = 4_711;
interface Gate {
  /** Kills the worker while it saves the batch that brings it into the next quarter, and starts it again: it fills before it is ready. Answers what the killed one left. */
  kill(id: string): Promise<JobRow>;
  open(): Promise<void>;
}
/** Postgres makes a save that comes into another quarter wait: whoever only watched a fast worker would come too late to kill it there. */
async function gateAtQuarters(store: RebuildStoreName): Promise<Gate> {
  const { schema, app } = workers[store];
  const keeper = await pool.connect();
  const quarter = COUNT / (KILLS + 1);
  await keeper.query(`select pg_advisory_lock(${GATE})`);
  await keeper.query(`create function ${schema}.gate() returns trigger language plpgsql as $$ begin
    if new.rows / ${quarter} > old.rows / ${quarter} then perform pg_advisory_xact_lock(${GATE}); end if; return new; end $$`);
  await keeper.query(`create trigger gate before update on ${schema}.rebuilds for each row execute function ${schema}.gate()`);
  const isThere = async (): Promise<boolean> => (await pool.query(`select 1 from pg_locks where locktype = 'advisory' and objid = ${GATE} and not granted`)).rowCount === 1;
  return {
    kill: async (id) => {
      await eventually(isThere, { timeoutMs: 300_000 });
      await plane.stack.app(app).kill('SIGKILL');
      // The save had reached Postgres: it goes through, and the gate is shut behind it.
      await keeper.query(`select pg_advisory_unlock(${GATE})`);
      await keeper.query(`select pg_advisory_lock(${GATE})`);
      const left = await savedJob(store, id);
      await plane.stack.app(app).relaunch();
      return left;
    },
    open: async () => {
      await keeper.query(`select pg_advisory_unlock(${GATE})`);
      await keeper.query(`drop function ${schema}.gate() cascade`);
      keeper.release();
    },
  };
}

/** What runs beside a test; stopped after it, however it ended, so that the next ones do not pay. */
const beside: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of beside.splice(0)) await stop();
});

/** Writes without a pause until it is stopped: prices of the base, new products, deletes of these. */
function writeOn(prefix: string): { stop(): Promise<number> } {
  const stopped = new AbortController();
  let round = 0;
  const run = async (): Promise<void> => {
    for (; !stopped.signal.aborted; round += 1) {
      await plane.import(ndjson(products('base', 50, { price: round + 0.5 })));
      await plane.call('POST', '/api/products', { sku: `${prefix}-${round}`, name: `new one ${round}`, category: prefix });
      if (round % 3 === 2) await plane.call('DELETE', `/api/products/${prefix}-${round - 1}`, undefined, { 'if-match': '*' });
    }
  };
  const running = run();
  const stop = async (): Promise<number> => { stopped.abort(); await running; return round; };
  beside.push(stop);
  return { stop };
}

/** Searches without a pause: what was there before and is never deleted must be found by every answer. */
function searchOn(): { stop(): Promise<{ fewest: number; answers: number; degraded: number }> } {
  const seen = { fewest: Infinity, answers: 0, degraded: 0 };
  const stopped = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const { body } = await plane.call('GET', '/api/search?category=base&limit=1', undefined, NOT_CACHED);
      seen.answers += 1;
      // An answer that says that it is degraded claims nothing: a machine at its limit may have some.
      if (body['degraded'] === true) seen.degraded += 1;
      else seen.fewest = Math.min(seen.fewest, Number(body['total']));
    }
  };
  const running = run();
  const stop = async (): Promise<typeof seen> => { stopped.abort(); await running; return seen; };
  beside.push(stop);
  return { stop };
}

describe('a rebuild under live writes', () => {
  it('is killed three times while it is filled, goes on each time where it was, never shows fewer hits than there are, and ends equal', async () => {
    const before = await plane.call('GET', '/api/admin/sync');
    const writing = writeOn(uniqueName('live'));
    const searching = searchOn();
    const gate = await gateAtQuarters('search');
    const id = await start('search');
    const seen: JobRow[] = [];
    for (let kill = 1; kill <= KILLS; kill += 1) seen.push(await gate.kill(id));
    await gate.open();
    expect(seen).toEqual(seen.map(() => ({ phase: 'filling', error: null, target: seen[0]?.target, rows: expect.any(Number) })));
    expect(seen.map(({ rows }) => Math.floor((rows * (KILLS + 1)) / COUNT))).toEqual([1, 2, 3]);
    const job = await done(id);
    expect([job.phase, job.error, job.previous, job.target]).toEqual(['done', null, before.body['index'], seen[0]?.target]);
    expect(job.checks.length).toBeGreaterThan(0);
    expect(job.checks.filter(({ passed }) => !passed)).toEqual([]);
    const rounds = await writing.stop();
    const found = await searching.stop();
    expect([found.fewest, found.answers - found.degraded > 10, rounds > 3]).toEqual([COUNT, true, true]);
    // Every row was stored once, but for those that changed meanwhile and the batches in hand at the kills.
    expect(job.rows).toBeLessThan(COUNT + rounds * 60 * 2 + KILLS * 2_000);
    await plane.agrees(120_000);
  }, 900_000);

  it('of the vectors is killed while it is filled and ends equal', async () => {
    const writing = writeOn(uniqueName('live'));
    const gate = await gateAtQuarters('vectors');
    const id = await start('vectors');
    const left = await gate.kill(id);
    expect(left).toMatchObject({ phase: 'filling', error: null });
    await gate.open();
    expect(await done(id)).toMatchObject({ phase: 'done', error: null, target: left.target });
    await writing.stop();
    await plane.agrees(120_000);
  }, 900_000);
});

describe('rebuild jobs over HTTP', () => {
  it('are refused while one runs, cancelled, and leave the live one as it is', async () => {
    const live = (await plane.call('GET', '/api/admin/sync')).body['index'];
    const id = await start('search');
    expect(await plane.call('POST', '/api/admin/rebuilds', { store: 'search' })).toMatchObject({ status: 409, body: { code: 'conflict', detail: expect.stringContaining(id) } });
    expect((await plane.call('POST', `/api/admin/rebuilds/${id}/cancel`)).status).toBe(202);
    expect((await done(id)).phase).toBe('cancelled');
    expect((await plane.call('GET', '/api/admin/sync')).body['index']).toBe(live);
    expect(await plane.call('POST', `/api/admin/rebuilds/${id}/rollback`)).toMatchObject({ status: 409, body: { detail: `${id} is cancelled: it never went live` } });
    expect(await plane.call('GET', '/api/admin/rebuilds/search-999999')).toMatchObject({ status: 404, body: { code: 'not_found' } });
  }, 600_000);

  it.each(['search', 'vectors'] as const)('bring back the one before of %s, up to date', async (store) => {
    const id = await start(store);
    const { target, previous } = await done(id);
    const sku = uniqueName('since');
    await plane.call('POST', '/api/products', { sku, name: 'written since the swap', category: 'since' });
    await plane.agrees();
    const { status, body } = await plane.call('POST', `/api/admin/rebuilds/${id}/rollback`);
    expect([status, body['reason']]).toEqual([202, 'rollback']);
    expect(await done(String(body['id']))).toMatchObject({ phase: 'done', target: previous, previous: target });
    await plane.agrees();
    expect([(await plane.found()).has(sku), (await plane.embedded()).has(sku)]).toEqual([true, true]);
  }, 600_000);
});

describe('a live store that is lost', () => {
  const directoryOf = (store: RebuildStoreName): string => join(plane.stack.env['EMBEDDED_DATA_DIR'] ?? '', store);
  it.each(['search', 'vectors'] as const)('is built anew by itself when the file of %s is deleted; answers are degraded until then', async (store) => {
    const directory = directoryOf(store);
    const live = (await readFile(join(directory, 'CURRENT'), 'utf8')).trim();
    for (const name of await readdir(directory)) if (name.startsWith(`${live}.db`)) await rm(join(directory, name));
    if (store === 'search') await eventually(async () => (await plane.call('GET', '/api/search?category=base&limit=1', undefined, NOT_CACHED)).body['degraded'] === true);
    const sku = uniqueName('lost');
    await plane.call('POST', '/api/products', { sku, name: 'written while it is lost', category: 'lost' });
    await eventually(async () => (await jobs(store))[0]?.reason === 'repair' && (await jobs(store))[0]?.phase === 'done', { timeoutMs: 300_000, everyMs: 100 });
    await plane.agrees(120_000);
    await eventually(async () => {
      expect((await plane.call('GET', '/api/search?category=base&limit=1', undefined, NOT_CACHED)).body).toMatchObject({ degraded: false, total: COUNT });
      return true;
    });
  }, 600_000);
});
