import { mkdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LoadNotPossibleError, loadFiles, planDrop } from '../src/index.ts';
import type { DropPlan } from '../src/index.ts';
import { startStores } from './kit.ts';
import type { TestStores } from './kit.ts';

const CSV = (score: number): string => `isdn,service_type,bad_debt_risk,priority_score\n84910000001,DATA,LOW,${score}\n`;

describe('a drop folder', () => {
  let stores: TestStores;
  let directory: string;
  beforeEach(async () => {
    stores = await startStores();
    directory = join(stores.directory, 'drop');
    await mkdir(directory);
  });
  afterEach(() => stores.close());

  /** As old as seconds say, so that it need not be looked at twice. */
  async function put(name: string, content = CSV(1), ageSeconds = 3_600): Promise<string> {
    const path = join(directory, name);
    await writeFile(path, content);
    const time = Date.now() / 1_000 - ageSeconds;
    await utimes(path, time, time);
    return path;
  }
  const plan = (settleMs = 20): Promise<DropPlan> => planDrop(stores.pool, { directory, settleMs });
  const found = async (): Promise<unknown> => {
    const { files, skipped, isUnsettled } = await plan();
    return { files: Object.entries(files).map(([dataset, file]) => `${dataset}: ${basename(file.path)}`), skipped: skipped.map(({ file, reason }) => `${file} ${reason}`), isUnsettled };
  };

  it.each([
    ['nothing where there is nothing', [], { files: [], skipped: [], isUnsettled: false }],
    ['any file alone, also in the other format or as gzip', ['recommendations_final_filtered.csv.gz', 'subscriber_monthly_summary.csv'], { files: ['recommendations: recommendations_final_filtered.csv.gz', 'arpu: subscriber_monthly_summary.csv'], skipped: [], isUnsettled: false }],
    ['not what has another name', ['other.csv', 'recommendations_final_filtered.csv.bak'], { files: [], skipped: [], isUnsettled: false }],
    ['not what is on its way', ['subscriber_360_profile.parquet', 'recommendations_final_filtered.csv', 'recommendations_final_filtered.csv.part'], { files: ['profiles: subscriber_360_profile.parquet'], skipped: ['recommendations_final_filtered.csv is still being written: recommendations_final_filtered.csv.part is beside it'], isUnsettled: true }],
    ['not what rsync brings', ['.recommendations_final_filtered.csv.Ab12cD'], { files: [], skipped: [expect.stringContaining('.recommendations_final_filtered.csv.Ab12cD is beside it')], isUnsettled: true }],
  ])('has %s', async (_title, names, expected) => {
    for (const name of names) await put(name);
    expect(await found()).toEqual(expected);
  });

  it('has the newest of several files of the same data, and each only until it was loaded', async () => {
    await put('recommendations_final_filtered.csv', CSV(1), 7_200);
    await put('recommendations_final_filtered.parquet', CSV(2), 3_600);
    expect(await found()).toEqual({ files: ['recommendations: recommendations_final_filtered.parquet'], skipped: ['recommendations_final_filtered.csv recommendations_final_filtered.parquet is newer'], isUnsettled: false });
    await stores.load((await plan()).files);
    expect(await found()).toMatchObject({ files: [], skipped: [expect.any(String), 'recommendations_final_filtered.parquet was loaded already'] });
    // Read in another way it is another file.
    const mappings = { recommendations: { cluster_group: { default: '1' } } };
    expect(Object.keys((await planDrop(stores.pool, { directory, settleMs: 20, mappings })).files)).toEqual(['recommendations']);
  });

  it('has no file that changes while it is looked at, and has it when it is whole', async () => {
    const path = await put('recommendations_final_filtered.csv', CSV(1), 0);
    const done = new AbortController();
    const planned = plan(100).finally(() => done.abort());
    for (let score = 1; !done.signal.aborted; score += 1) await writeFile(path, CSV(score));
    expect(await planned).toMatchObject({ files: {}, isUnsettled: true, skipped: [{ reason: expect.stringContaining('it changed') }] });
    expect(await found()).toMatchObject({ files: ['recommendations: recommendations_final_filtered.csv'] });
  });

  it('lets nothing go live of a file that was replaced while it was loaded', async () => {
    const path = await put('recommendations_final_filtered.csv');
    const planned = await plan();
    await rename(await put('next', CSV(1)), path);
    await expect(loadFiles(stores, { files: planned.files, limit: { share: 0 }, keep: 1, confirm: () => planned.checkUnchanged() })).rejects.toThrow('recommendations_final_filtered.csv changed while it was loaded');
    expect((await stores.pool.query('select redis from ut360.pointer')).rows).toEqual([{ redis: 0 }]);
    expect(await stores.redis.get('ut360:current')).toBeNull();
  });

  it('is told by a sentence where it cannot be read', async () => {
    await rm(directory, { recursive: true });
    await expect(plan()).rejects.toBeInstanceOf(LoadNotPossibleError);
  });
});
