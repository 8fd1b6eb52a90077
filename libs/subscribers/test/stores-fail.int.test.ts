import { appendFile, mkdir, rename } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createPool } from '@millrace/database';
import { writeSampleFiles } from '@millrace/sample-subscribers';
import { startTunnel } from '@millrace/testing';
import { LoadNotPossibleError, LoadRefusedError, loadFiles, readPointer, verifyGenerations } from '../src/index.ts';
import type { FailedLoad, LoadOptions, LoadPhase, LoadReport } from '../src/index.ts';
import { startStores } from './kit.ts';
import type { TestStores } from './kit.ts';

const COUNT = 600;
type Files = LoadOptions['files'];
type Outcome = LoadReport | LoadNotPossibleError | LoadRefusedError;

/** Calls `then` once, when the load says that it is in this phase with something done. */
function at(phase: LoadPhase, then: () => unknown): NonNullable<LoadOptions['progress']> {
  let isDone = false;
  return {
    step(current, { done }) {
      if (current !== phase || isDone || (done === 0 && phase !== 'switch')) return;
      isDone = true;
      void then();
    },
  };
}

describe('a load', () => {
  let stores: TestStores;
  let files: Files;
  beforeEach(async () => {
    stores = await startStores();
    await stores.load({ recommendations: { path: await stores.file('first.csv', 'isdn,service_type,bad_debt_risk\n84912345678,DATA,LOW\n') } });
    const paths = await writeSampleFiles({ count: COUNT, directory: stores.directory });
    files = { recommendations: { path: paths.recommendations }, arpu: { path: paths.arpu } };
  });
  afterEach(() => stores.close());
  const outcome = (load: Promise<LoadReport>): Promise<Outcome> => load.catch((error: unknown) => (error instanceof LoadNotPossibleError || error instanceof LoadRefusedError ? error : Promise.reject(error)));
  const told = async (load: Promise<LoadReport>): Promise<string> => {
    const found = await outcome(load);
    return found instanceof Error ? `${found.name}: ${found.message}` : 'was loaded';
  };
  const worksAgain = async (): Promise<void> => {
    expect((await stores.load(files)).counts).toMatchObject({ recommendations: COUNT });
    expect((await verifyGenerations({ ...stores, keep: 1, repair: false })).problems).toEqual([]);
    const [live, ...numbers] = [String((await readPointer(stores.pool)).redis), ...new Set((await stores.redis.keys('ut360:[0-9]*')).map((key) => key.split(':')[1] ?? ''))];
    expect(numbers).toContain(live);
    // Nothing of the one that failed is left.
    expect(numbers.filter((number) => number !== live && number !== '1')).toEqual([]);
  };

  it.each(['read', 'redis'] as const)('that loses Postgres in the phase %s says so, changes nothing, and is done by the next run', async (phase) => {
    const tunnel = await startTunnel(stores.databaseUrl);
    const pool = createPool({ url: tunnel.url, name: 'broken', max: 4, statementTimeoutMs: 0 });
    try {
      const failed = await told(loadFiles({ ...stores, pool }, { files, limit: { share: 0 }, keep: 1, progress: at(phase, () => tunnel.drop(true)) }));
      expect(failed).toMatch(/^LoadNotPossibleError: /);
      expect(failed).toContain('What was live is served on; run it again');
      expect(await readPointer(stores.pool)).toMatchObject({ redis: 1, version: 1 });
      expect(await stores.redis.get('ut360:current')).toContain('"redis":1');
    } finally {
      tunnel.close();
      await pool.end();
    }
    await worksAgain();
  });

  it('that loses Redis in the middle of a generation says so, changes nothing, and is done by the next run', async () => {
    const failed = await told(stores.load(files, { progress: at('redis', () => stores.server?.kill()) }));
    expect(failed).toMatch(/^LoadNotPossibleError: .*(Redis \(UT360_REDIS_URL\) broke off|cannot be reached)/);
    expect(await readPointer(stores.pool)).toMatchObject({ redis: 1 });
    await stores.server?.restart();
    await worksAgain();
  });

  it('that loses Redis in the moment of the switch is live in Postgres and warns', async () => {
    const done = await outcome(stores.load(files, { progress: at('switch', () => stores.server?.kill()) }));
    // The last commands may have been quicker than the kill.
    if (!(done instanceof Error) && done.warnings.length > 0) {
      expect(done.warnings[0]).toContain('is live in Postgres, but Redis could not be told');
      expect(await readPointer(stores.pool)).toMatchObject({ redis: done.pointer.redis });
    }
    await stores.server?.restart();
    expect((await verifyGenerations({ ...stores, keep: 1, repair: true })).repaired).toBe(true);
    expect((await verifyGenerations({ ...stores, keep: 1, repair: false })).problems).toEqual([]);
  });

  it('is refused where its file grows or is replaced while it is read, and where it is no file', async () => {
    const path = files.recommendations?.path ?? '';
    const grown = await told(stores.load({ recommendations: { path } }, { progress: at('read', () => appendFile(path, 'x\n')) }));
    expect(grown).toMatch(/was changed or replaced while it was read|are bad/);
    const arpu = files.arpu?.path ?? '';
    await writeSampleFiles({ count: 3, directory: join(stores.directory, 'other') });
    const replaced = await told(stores.load({ arpu: { path: arpu } }, { limit: { share: 1 }, progress: at('index', () => rename(join(stores.directory, 'other/subscriber_monthly_summary.parquet'), arpu)) }));
    expect(replaced).toContain('was changed or replaced while it was read');
    await mkdir(join(stores.directory, 'folder'));
    execFileSync('mkfifo', [join(stores.directory, 'fifo')]);
    for (const name of ['folder', 'fifo', 'nothing']) expect(await told(stores.load({ arpu: { path: join(stores.directory, name) } }))).toContain('is not a file that can be read');
    for (const content of ['', '\n\n', 'isdn,service_type,bad_debt_risk\n', '\uFEFF', '""']) expect(await outcome(stores.load({ recommendations: { path: await stores.file('empty.csv', content) } }))).toBeInstanceOf(LoadRefusedError);
    expect(await readPointer(stores.pool)).toMatchObject({ redis: 1, version: 1 });
  });

  it('takes over a table only where it was read the same way and has no more bad rows than may be', async () => {
    const path = await stores.file('latin.csv', Buffer.from('isdn,service_type,bad_debt_risk\ncaf\u00E9-token,DATA,LOW\nshort,DATA,LOW\n', 'latin1'));
    const stop = new AbortController();
    const interrupted = stores.load({ recommendations: { path, encoding: 'latin1' } }, { limit: { rows: 1 }, signal: stop.signal, progress: at('check', () => stop.abort(new LoadRefusedError('stopped'))) });
    await expect(interrupted).rejects.toThrow('stopped');
    const reports: FailedLoad[] = [];
    expect(await told(stores.load({ recommendations: { path, encoding: 'latin1' } }, { limit: { rows: 0 }, onFailed: (report) => reports.push(report) }))).toContain('1 of 2 rows');
    expect(reports).toMatchObject([{ state: 'refused', bad_rows: { recommendations: 1 }, error: expect.stringContaining('1 of 2 rows') }]);
    expect(await stores.load({ recommendations: { path, encoding: 'windows-1258' } }, { limit: { rows: 1 } })).toMatchObject({ datasets: [{ resumed: false }] });
  });

  it('of a column with more than 10,000 different services is refused: it is the wrong column', async () => {
    const lines = Array.from({ length: 10_050 }, (_none, place) => `8491${String(place).padStart(7, '0')},S${place},LOW`);
    expect(await told(stores.load({ recommendations: { path: await stores.file('wrong.csv', `isdn,service_type,bad_debt_risk\n${lines.join('\n')}\n`) } }))).toContain('more than 10000 different values');
    expect(await stores.redis.keys('ut360:2:*')).toEqual([]);
  });
});
