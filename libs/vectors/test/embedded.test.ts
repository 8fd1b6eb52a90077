import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { createThread } from '../src/embedded/thread.ts';
import { CollectionDroppedError, openEmbeddedVectorReader, VectorsUnavailableError, type VectorAdmin, type VectorReader } from '../src/index.ts';
import { model, record, unit } from '../src/testing.ts';
import { embeddedStore } from './support/embedded-store.ts';

const all = { limit: 10, excludeSkus: [] };
const file = (relative: string): URL => new URL(relative, import.meta.url);

describe('the embedded store', () => {
  let store: Awaited<ReturnType<typeof embeddedStore>>;
  let admin: VectorAdmin;
  let reader: VectorReader;
  beforeEach(async () => {
    store = await embeddedStore();
    admin = await store.openAdmin();
    reader = await store.openReader();
  });
  afterEach(() => store.destroy());

  const live = async (id = 'm'): Promise<string> => {
    const collection = await admin.createCollection(model(id));
    await admin.swapTo(collection);
    return collection;
  };
  const found = async (): Promise<string[]> => (await reader.nearest(unit([1]), all)).map(({ sku }) => sku);

  it('shows what another process wrote to a reader that is open, as soon as that process has written', async () => {
    await live();
    expect(await found()).toEqual([]);
    execFileSync(process.execPath, [file('./support/write-one.ts').pathname, store.directory, 'a', '1', '3', '2'], { stdio: 'pipe' });
    expect(await found()).toEqual(['a']);
    expect(await reader.get('a')).toMatchObject({ version: 3 });
  });

  it('keeps every batch that was acknowledged and no part of one when its writer is killed, and takes the next writes', async () => {
    const collection = await live();
    const child = spawn(process.execPath, [file('./support/write-many.ts').pathname, store.directory], { stdio: ['ignore', 'pipe', 'ignore'] });
    let acknowledged = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      acknowledged += chunk.toString('utf8').split('\n').length - 1;
      if (acknowledged >= 5) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const stored = await admin.count(collection);
    expect(stored % 50).toBe(0);
    expect(stored).toBeGreaterThanOrEqual(acknowledged * 50);
    expect(await reader.nearest(unit([1]), { limit: 1_000, excludeSkus: [] })).toHaveLength(Math.min(stored, 1_000));
    await (await admin.openWriter(collection)).upsert([record('after', 1, [1])]);
    expect(await found()).toContain('after');
  });

  it('refuses to open a damaged collection as a store that is away: no product is blamed', async () => {
    const first = await live();
    writeFileSync(join(store.directory, `${first}.db`), 'this is no database'.repeat(100));
    await expect(admin.openWriter(first)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('refuses a writer whose collection another process dropped, instead of writing where nobody reads', async () => {
    const first = await live();
    const writer = await admin.openWriter(first);
    await live('next');
    await admin.dropOthers([]);
    await expect(writer.upsert([record('a', 1, [1])])).rejects.toThrow(CollectionDroppedError);
    expect(readdirSync(store.directory).filter((name) => name.startsWith(first))).toEqual([]);
  });

  it('reads anew when another file takes the place of the one it has open', async () => {
    const first = await live();
    await (await admin.openWriter(first)).upsert([record('a', 1, [1])]);
    expect(await found()).toEqual(['a']);
    const other = await admin.createCollection(model('other'));
    const writer = await admin.openWriter(other);
    await writer.upsert([record('b', 1, [1])]);
    await writer.close();
    for (const suffix of ['-wal', '-shm']) rmSync(join(store.directory, `${first}.db${suffix}`), { force: true });
    renameSync(join(store.directory, `${other}.db`), join(store.directory, `${first}.db`));
    expect(await found()).toEqual(['b']);
    expect(await reader.model()).toEqual(model('other'));
  });

  it('loads anew when tombstones were purged that it has not seen', async () => {
    const collection = await live();
    const writer = await admin.openWriter(collection);
    await writer.upsert([record('a', 1, [1]), record('b', 1, [1, 1])]);
    expect(await found()).toEqual(['a', 'b']);
    await writer.remove([{ sku: 'a', version: 2 }]);
    await admin.purgeTombstones(0);
    await writer.upsert([record('c', 1, [1, 2])]);
    expect(await found()).toEqual(['b', 'c']);
  });

  it('is unavailable, and says so, while its live file is missing or is not a database, and recovers', async () => {
    const collection = await live();
    await (await admin.openWriter(collection)).close();
    const path = join(store.directory, `${collection}.db`);
    renameSync(path, `${path}.away`);
    await expect(found()).rejects.toThrow(VectorsUnavailableError);
    writeFileSync(path, 'this is not a database, but it is long enough to look like a file'.repeat(50));
    await expect(found()).rejects.toThrow(VectorsUnavailableError);
    renameSync(`${path}.away`, path);
    expect(await found()).toEqual([]);
  });

  it('never takes a name twice, removes half-made files, and refuses names that lead elsewhere', async () => {
    const collection = await live();
    writeFileSync(join(store.directory, 'vectors-6.db'), 'not a database '.repeat(100));
    writeFileSync(join(store.directory, 'vectors-7.db'), '');
    expect(await admin.createCollection(model('next'))).toBe('vectors-8');
    await admin.dropOthers([]);
    expect(readdirSync(store.directory).filter((name) => name.endsWith('.db'))).toEqual([`${collection}.db`]);
    await expect(admin.openWriter('../vectors-1')).rejects.toThrow('not a name of a vector collection');
    await expect(admin.createCollection({ ...model('m'), dimensions: 0 })).rejects.toThrow('dimensions');
  });

  it('ends its thread on close, and refuses to be asked after that', async () => {
    await live();
    const other = await openEmbeddedVectorReader({ directory: store.directory, queryTimeoutMs: 10_000 });
    await other.model();
    await other.close();
    await expect(other.model()).rejects.toThrow(VectorsUnavailableError);
    await other.close();
  });
});

describe('the search thread', () => {
  const thread = (timeoutMs: number) => createThread({ url: file('./support/echo-worker.ts'), workerData: {}, timeoutMs });

  it('fails what was asked when it crashes, and answers the next question from a new thread', async () => {
    const asked = thread(5_000);
    expect(await asked.ask('model', {})).toBe('model');
    const both = await Promise.allSettled([asked.ask('get', { sku: 'a' }), asked.ask('model', {})]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(both[0]).toMatchObject({ reason: expect.any(VectorsUnavailableError) });
    expect(await asked.ask('model', {})).toBe('model');
    await asked.close();
  });

  it('fails a question after the timeout, and is replaced when it stays silent', async () => {
    const asked = thread(300);
    const hung = asked.ask('warm', {});
    await expect(hung).rejects.toThrow('did not answer within 300 ms');
    expect(await eventually(() => asked.ask('model', {}))).toBe('model');
    await asked.close();
  });

  it('is waited for by the patient while it says that it loads, longer than a silent one is', async () => {
    const loading = createThread({ url: file('./support/loading-worker.ts'), workerData: {}, timeoutMs: 200 });
    const [patient, other] = await Promise.allSettled([loading.ask('nearest', { vector: unit([1]), query: { limit: 1, excludeSkus: [] } }, { isPatient: true }), loading.ask('model', {})]);
    expect(patient).toEqual({ status: 'fulfilled', value: 'nearest' });
    expect(other).toMatchObject({ status: 'rejected', reason: expect.any(VectorsUnavailableError) });
    await loading.close();
  });

  it('fails open questions when it is closed', async () => {
    const asked = thread(5_000);
    const open = asked.ask('warm', {});
    await Promise.all([expect(open).rejects.toThrow('closed'), asked.close()]);
  });
});
