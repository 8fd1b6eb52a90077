import { fork } from 'node:child_process';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { writeSampleFiles } from '@millrace/sample-subscribers';
import { LoadNotPossibleError, loadFiles, readPointer, rollBack, underLoadLock, verifyGenerations } from '@millrace/subscribers';
import { eventually as eventuallyWithin } from '@millrace/testing';
import { lastDue } from '../src/schedule/cron.ts';
import { scheduleSchema } from '../src/schedule/schedule-variables.ts';
import { beginRun, checkFence, registerSchedule } from '../src/schedule/schedule-runs.repository.ts';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

jest.setTimeout(180_000);

/** A load in a process of its own takes a second or two, on a busy machine many. */
const eventually = <T>(check: () => T | Promise<T>) => eventuallyWithin(check, { timeoutMs: 80_000 });

/** Twelve hours from now there (UTC+7): no night ends while a test runs. */
const NIGHTLY = { UT360_SCHEDULE: `0 ${(new Date().getUTCHours() + 7 + 12) % 24} * * *`, UT360_SCHEDULE_TZ: 'Asia/Ho_Chi_Minh' };
/** For loads that are to lose their lease: short, but no process with work to do stands still for so long. */
const TAKEN_OVER = { ...NIGHTLY, UT360_SCHEDULE_LEASE_MS: '10000' };
const EVERY_SECOND = { UT360_SCHEDULE: '* * * * * *' };
const BAD = 'isdn,service_type,bad_debt_risk\n84910000001,DATA,NONE\n';

it.each([
  ['a pattern of four fields', { UT360_SCHEDULE: '0 2 * *' }], ['a pattern that names nothing', { UT360_SCHEDULE: '61 2 * * *' }], ['a zone that is none', { UT360_SCHEDULE_TZ: 'Asia/Nowhere' }],
  ['a file elsewhere', { UT360_DROP_ARPU: '../arpu.csv' }], ['a limit that is none', { UT360_DROP_MAX_BAD: 'many' }],
])('a service with %s does not start', (_title, variables) => {
  const parsed = scheduleSchema.safeParse(variables);
  expect(parsed.error?.issues.map(({ path }) => path[0])).toEqual(Object.keys(variables));
});

it('names the last time in its zone, to the millisecond', () => {
  const at = (time: string): string => lastDue('0 2 * * *', 'Asia/Ho_Chi_Minh', new Date(time)).toISOString();
  expect([at('2026-11-22T18:59:59.999Z'), at('2026-11-22T19:00:00.000Z'), at('2026-11-23T18:00:00Z')]).toEqual(['2026-11-21T19:00:00.000Z', '2026-11-22T19:00:00.000Z', '2026-11-22T19:00:00.000Z']);
});

describe('the schedule of loads', () => {
  let plane: Plane;
  let directory: string;
  beforeEach(async () => {
    plane = await startPlane();
    directory = join(plane.directory, 'drop');
    await mkdir(directory);
  });
  afterEach(() => plane.close());

  const variables = (more: Readonly<Record<string, string>> = NIGHTLY): Record<string, string> => ({
    UT360_DROP_DIR: directory, REDIS_URL: plane.redis.url, UT360_DROP_SETTLE_MS: '20', UT360_SCHEDULE_CHECK_MS: '100', UT360_SCHEDULE_RETRY_MS: '100', UT360_SCHEDULE_LEASE_MS: '30000', ...more,
  });
  const start = (more?: Readonly<Record<string, string>>): Promise<Instance> => plane.startInstance(variables(more));
  const drop = (count: number, lastMonth?: string) => writeSampleFiles({ directory, count, ...(lastMonth !== undefined && { lastMonth }) });
  const query = async (text: string): Promise<Record<string, unknown>[]> => (await plane.stores.pool.query(text)).rows;
  const states = async (): Promise<unknown[]> => (await query('select state from ut360.schedule_runs order by id')).map(({ state }) => state);
  const live = () => readPointer(plane.stores.pool);
  /** As if the last three nights had been missed. */
  const missThreeNights = async (): Promise<void> => {
    await registerSchedule(plane.stores.pool, { pattern: NIGHTLY.UT360_SCHEDULE, timeZone: NIGHTLY.UT360_SCHEDULE_TZ, now: new Date(Date.now() - 3 * 86_400_000) });
  };
  /** The process that loads, as Postgres knows it; it holds the lock. */
  const loader = (): Promise<number> => eventually(async () => Number(/ (\d+)@/.exec(String((await query(`select application_name as name from pg_stat_activity a join pg_locks l using (pid) where a.application_name like 'ut360-schedule %' and l.locktype = 'advisory' and l.granted limit 1`))[0]?.['name']))?.[1]) || false);
  const send = (pid: number, signal: NodeJS.Signals | 0): boolean => {
    try {
      return process.kill(pid, signal);
    } catch {
      return false;
    }
  };
  const isAlive = (pid: number): boolean => send(pid, 0);

  it('catches up a run that was missed once, on one of two instances, however many nights were missed', async () => {
    await drop(60);
    await missThreeNights();
    const instances = await Promise.all([start(), start()]);
    await eventually(async () => (await states()).includes('loaded'));
    for (let n = 0; n < 3; n += 1) await Promise.all(instances.map(async ({ schedule }) => schedule?.check()));
    await start();
    await eventually(async () => (await plane.stores.redis.keys('bull:ut360-load:due-*')).length === 0);
    expect(await states()).toEqual(['loaded']);
    expect(await live()).toMatchObject({ recommendations: 1, profiles: 1, arpu: 1, redis: 1 });
    const [{ report } = {}] = await query('select report from ut360.schedule_runs');
    await eventually(async () => (await instances[0]?.metric('ut360_schedule_last_run_rows', 'profiles', 'dataset')) === 60 && (await instances[0]?.metric('ut360_schedule_last_run', 'loaded', 'state')) === 1);
    expect(report).toMatchObject({ state: 'loaded', load: 1, rows: { recommendations: 60, profiles: 60 }, skipped: [] });
  });

  it('begins with the next time where it is new, and does nothing without a folder', async () => {
    await drop(20);
    const instance = await start();
    await instance.schedule?.check();
    await eventually(async () => (await plane.stores.redis.keys('bull:ut360-load:repeat:*')).length > 0);
    expect(await states()).toEqual([]);
    expect((await plane.startInstance()).schedule).toBeUndefined();
  });

  it('loads at its time, loads the same files only once, and leaves a rollback alone until there are new ones', async () => {
    await drop(40);
    await start(EVERY_SECOND);
    await eventually(async () => (await states()).includes('nothing'));
    expect((await states()).filter((state) => state === 'loaded')).toHaveLength(1);
    // Another file comes at once, and whole.
    const { recommendations } = await writeSampleFiles({ directory: plane.directory, count: 40, seed: 2 });
    await rename(recommendations, join(directory, basename(recommendations)));
    await eventually(async () => (await live()).redis === 2);
    await eventually(() => underLoadLock(plane.stores.pool, (client) => rollBack(client, plane.stores.redis, plane.stores.keys)));
    const { version } = await live();
    const [{ id } = {}] = await query('select max(id) as id from ut360.schedule_runs');
    await eventually(async () => (await query(`select 1 from ut360.schedule_runs where state = 'nothing' and id > ${Number(id) + 1}`)).length > 0);
    expect((await live()).version).toBe(version);
    const [{ report } = {}] = await query('select report from ut360.schedule_runs where state = \'nothing\' order by id desc limit 1');
    expect(JSON.stringify(report)).toContain('was loaded already');
  });

  it('keeps a refused load in sight, keeps what is live, and loads the next time', async () => {
    await plane.load({ count: 30 });
    const before = await live();
    await writeFile(join(directory, 'recommendations_final_filtered.csv'), BAD);
    const instance = await start(EVERY_SECOND);
    await eventually(async () => (await states()).includes('refused'));
    expect(await live()).toEqual(before);
    expect((await query(`select report->>'error' as error from ut360.loads where state = 'refused' limit 1`))[0]?.['error']).toContain('has no row that can be loaded');
    await eventually(() => instance.logs.some((line) => line.includes('did not go live') && line.includes('bad_debt_risk')));
    await drop(30, '2026-11');
    await eventually(async () => (await live()).version > before.version);
  });

  it('waits for a file that is still being written, and loads it when it is whole', async () => {
    await drop(30);
    await writeFile(join(directory, 'recommendations_final_filtered.csv.part'), '');
    await missThreeNights();
    await start({ ...NIGHTLY, UT360_SCHEDULE_RETRY_MS: '1000' });
    await eventually(async () => (await states()).includes('waiting'));
    expect((await live()).redis).toBe(0);
    await rm(join(directory, 'recommendations_final_filtered.csv.part'));
    await eventually(async () => (await states()).includes('loaded'));
    expect((await live()).redis).toBe(1);
  });

  it('goes on while the process that loads stands still: what is live stays, the next one loads, the old one changes nothing', async () => {
    await plane.load({ count: 30 });
    const before = await live();
    await drop(1_500);
    await missThreeNights();
    await Promise.all([start(TAKEN_OVER), start(TAKEN_OVER)]);
    const pid = await loader();
    process.kill(pid, 'SIGSTOP');
    expect(await live()).toEqual(before);
    await eventually(async () => (await states()).includes('loaded'));
    const after = await live();
    expect(after).toMatchObject({ version: before.version + 1 });
    // Its parent has killed it by now, or it wakes up.
    send(pid, 'SIGCONT');
    await eventually(() => !isAlive(pid));
    expect(await live()).toEqual(after);
    expect(await states()).toEqual(['abandoned', 'loaded']);
    expect((await verifyGenerations({ ...plane.stores, keep: 1, repair: false })).problems).toEqual([]);
  });

  it('goes on after kill -9 of the whole service, whose load goes with it', async () => {
    await drop(1_500);
    await missThreeNights();
    const own = { INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-', UT360_REDIS_URL: plane.redis.url, UT360_LOOKUP_DATABASE_URL: plane.postgresTunnel.url };
    const service = fork(join(import.meta.dirname, 'schedule-alone.ts'), [JSON.stringify({ ...own, ...variables(TAKEN_OVER) })], { execArgv: ['--disable-warning=ExperimentalWarning'] });
    const pid = await loader();
    service.kill('SIGKILL');
    await eventually(() => !isAlive(pid));
    expect((await live()).redis).toBe(0);
    await start(TAKEN_OVER);
    await eventually(async () => (await states()).includes('loaded'));
    expect(await states()).toEqual(['abandoned', 'loaded']);
  });

  it('stops with its service, and is begun again by the next one', async () => {
    await drop(1_500);
    await missThreeNights();
    const instance = await start();
    const pid = await loader();
    await instance.schedule?.close();
    expect([isAlive(pid), (await live()).redis]).toEqual([false, 0]);
    expect(await states()).toEqual(['stopped']);
    await start();
    await eventually(async () => (await states()).includes('loaded'));
  });

  it('lets no load go live whose fencing number is not the largest', async () => {
    const { recommendations } = await drop(30);
    await missThreeNights();
    const due = { now: new Date(), retryMs: 0, maxAttempts: 9 };
    expect(await beginRun(plane.stores.pool, new Date(), { ...due, fence: 5 })).toMatchObject({ isLastAttempt: false });
    const overtaken = loadFiles(plane.stores, {
      files: { recommendations: { path: recommendations } }, limit: { share: 0 }, keep: 1,
      async confirm(client) {
        await beginRun(plane.stores.pool, new Date(), { ...due, fence: 9 });
        await checkFence(client, 5);
      },
    });
    await expect(overtaken).rejects.toBeInstanceOf(LoadNotPossibleError);
    expect((await live()).redis).toBe(0);
    await expect(beginRun(plane.stores.pool, new Date(), { ...due, fence: 8 })).rejects.toBeInstanceOf(LoadNotPossibleError);
    expect(await states()).toEqual(['abandoned', 'running']);
  });

  it('goes on where Redis comes back without its memory, and nobody waits for it at a start', async () => {
    await drop(30);
    await missThreeNights();
    const bus = plane.redis;
    await bus.kill();
    const pending = start();
    await bus.restart();
    await pending;
    await eventually(async () => (await states()).includes('loaded'));
    await plane.stores.redis.flushall();
    await eventually(async () => (await plane.stores.redis.keys('bull:ut360-load:repeat:*')).length > 0);
  });
});
