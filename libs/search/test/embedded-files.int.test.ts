import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { openDatabase } from '../src/embedded/sqlite.ts';
import { openEmbeddedSearchAdmin, openEmbeddedSearchReader, SearchUnavailableError } from '../src/index.ts';
import type { SearchReader } from '../src/index.ts';
import { product, toChange } from '../src/testing.ts';

let directory = '';
let reader: SearchReader;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-search-'));
  reader = openEmbeddedSearchReader({ directory, timeoutMs: 10_000 });
});
afterEach(async () => {
  await reader.close();
  await rm(directory, { recursive: true, force: true });
});

const total = async (q: string): Promise<number> => (await reader.search({ q, currency: 'USD', sort: 'relevance', limit: 1 })).total;

async function buildIndex(...names: string[]): Promise<string> {
  const admin = openEmbeddedSearchAdmin({ directory });
  const index = await admin.createIndex();
  const writer = await admin.openWriter(index);
  await writer.apply(names.map((name, i) => toChange(product({ sku: `s${i}`, name }))));
  await writer.close();
  await admin.swapTo(index);
  return index;
}

it('rewrites no text when stock and price change', async () => {
  const index = await buildIndex('kettle');
  const writer = await openEmbeddedSearchAdmin({ directory }).openWriter(index);
  const db = openDatabase(join(directory, `${index}.db`), { busyTimeoutMs: 100, isReader: true });
  const text = () => JSON.stringify(['text', 'title'].map((table) => db.rows(`select hex(block) from ${table}_data`)));
  const before = text();
  await writer.apply([toChange(product({ sku: 's0', name: 'kettle', version: 2, stock: 3, price: 2, price_minor: 200 }))]);
  expect(text()).toBe(before);
  await writer.apply([toChange(product({ sku: 's0', name: 'toaster', version: 3 }))]);
  expect(text()).not.toBe(before);
  db.close();
  await writer.close();
});

it('follows a folder that is removed and built again under an open reader and writer', async () => {
  const index = await buildIndex('kettle');
  const writer = await openEmbeddedSearchAdmin({ directory }).openWriter(index);
  expect(await total('kettle')).toBe(1);
  await rm(directory, { recursive: true });
  await expect(total('kettle')).rejects.toBeInstanceOf(SearchUnavailableError);
  await expect(writer.apply([toChange(product({ sku: 'x' }))])).rejects.toBeInstanceOf(SearchUnavailableError);
  expect(await buildIndex('toaster')).toBe(index);
  expect([await total('kettle'), await total('toaster')]).toEqual([0, 1]);
  await writer.apply([toChange(product({ sku: 'x', name: 'lamp' }))]);
  expect(await total('lamp')).toBe(1);
  await writer.close();
});

it('takes no ids of categories from what was in its file before', async () => {
  const kettle = (sku: string, category: string) => toChange(product({ sku, name: 'kettle', category }));
  const admin = openEmbeddedSearchAdmin({ directory });
  const [index, other] = [await admin.createIndex(), await admin.createIndex()];
  const [writer, otherWriter] = [await admin.openWriter(index), await admin.openWriter(other)];
  await otherWriter.apply([kettle('a', 'garden')]);
  await otherWriter.close();
  await admin.swapTo(index);
  await writer.apply([kettle('b', 'kitchen')]);
  const path = join(directory, `${index}.db`);
  const { ino } = await stat(path);
  await rename(path, `${path}.away`);
  await expect(writer.apply([kettle('c', 'kitchen')])).rejects.toBeInstanceOf(SearchUnavailableError);
  for (const suffix of ['-wal', '-shm']) await rm(`${path}${suffix}`, { force: true });
  await copyFile(join(directory, `${other}.db`), `${path}.away`);
  await rename(`${path}.away`, path);
  expect((await stat(path)).ino).toBe(ino);
  await writer.apply([kettle('c', 'kitchen')]);
  expect((await reader.search({ category: 'kitchen', currency: 'USD', sort: 'relevance', limit: 1 })).total).toBe(1);
  await writer.close();
  await admin.close();
});

it('rejects with SearchUnavailableError while the file is damaged or of another format, and answers after the repair', async () => {
  const index = await buildIndex('kettle');
  await writeFile(join(directory, 'search-7.db'), 'this is no database'.repeat(100));
  await writeFile(join(directory, 'search-8.db'), '');
  for (const bad of ['search-7', 'search-8']) {
    await writeFile(join(directory, 'CURRENT'), `${bad}\n`);
    await expect(total('kettle')).rejects.toBeInstanceOf(SearchUnavailableError);
  }
  await writeFile(join(directory, 'CURRENT'), `${index}\n`);
  expect(await total('kettle')).toBe(1);
});

it('refuses to write into a damaged file as an engine that is away: no document is blamed', async () => {
  await buildIndex('kettle');
  await writeFile(join(directory, 'search-7.db'), 'this is no database'.repeat(100));
  const admin = openEmbeddedSearchAdmin({ directory });
  await expect(admin.openWriter('search-7')).rejects.toMatchObject({ code: 'unavailable' });
  await admin.close();
});

it('loses nothing that was reported as applied when the writing process is killed', async () => {
  const index = await buildIndex();
  const script = `
    import { openEmbeddedSearchAdmin } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
    import { product, toChange } from ${JSON.stringify(new URL('../src/testing/fixture.ts', import.meta.url).href)};
    const writer = await openEmbeddedSearchAdmin({ directory: ${JSON.stringify(directory)} }).openWriter('${index}');
    for (let i = 0; ; i += 20) {
      await writer.apply(Array.from({ length: 20 }, (_, j) => toChange(product({ sku: 'k' + (i + j), name: 'kettle' }))));
      process.stdout.write(i + 20 + '\\n');
    }`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let applied = 0;
  for await (const chunk of child.stdout) {
    applied = Number(String(chunk).trim().split('\n').at(-1));
    if (applied >= 400) break;
  }
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  expect(await total('kettle')).toBeGreaterThanOrEqual(applied);
  const writer = await openEmbeddedSearchAdmin({ directory }).openWriter(index);
  expect(await writer.apply([toChange(product({ sku: 'after', name: 'lamp' }))])).toMatchObject([{ outcome: 'applied' }]);
  expect(await total('lamp')).toBe(1);
  await writer.close();
});

it('suggests names in scripts whose vowel signs cut words, and for fractions', async () => {
  const names = ['هاتف أحمر', 'किताब', 'พัดลมไฟฟ้า', 'סֵפֶר', '½ inch drill'];
  await buildIndex(...names);
  for (const [typed, name] of [['أح', names[0]], ['किता', names[1]], ['พัด', names[2]], ['סֵפ', names[3]], ['½ in', names[4]]] as const) {
    expect(await reader.suggest(typed, 3)).toMatchObject([{ text: name, kind: 'product' }]);
  }
  for (const signs of ['\u0941', '\u0301', '🔋', '\u202e']) expect(await reader.suggest(signs, 3)).toEqual([]);
});
