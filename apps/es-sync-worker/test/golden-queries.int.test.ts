import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { productExample } from '@millrace/contracts';
import { openEmbeddedSearchAdmin } from '@millrace/search';
import { askGolden, readGoldenQueries } from '../src/golden-queries.ts';

let directory: string;
let admin: ReturnType<typeof openEmbeddedSearchAdmin>;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-golden-'));
  admin = openEmbeddedSearchAdmin({ directory });
});
afterAll(async () => {
  await admin.close();
  await rm(directory, { recursive: true });
});

async function indexOf(names: Readonly<Record<string, string>>): Promise<string> {
  const index = await admin.createIndex();
  const writer = await admin.openWriter(index);
  await writer.apply(Object.entries(names).map(([sku, name], n) => ({ sku, version: 1, product: { ...productExample, sku, name, version: 1, status: 'active', created_at: `2026-01-01T00:00:${10 + n}.000000Z` } })));
  await writer.close();
  return index;
}
const file = async (text: string): Promise<string> => {
  const path = join(directory, `golden-${Math.random()}.json`);
  await writeFile(path, text);
  return path;
};
const lamps = { 'L-1': 'brass lamp', 'L-2': 'oil lantern', 'L-3': 'desk light' };

/** The catalogue has all lamps, as the live index does. */
const source = { states: async (skus: readonly string[]) => ({ lastVersion: 1, known: new Map(Object.entries(lamps).filter(([sku]) => skus.includes(sku)).map(([sku, name]) => [sku, { sku, version: 1, product: { ...productExample, sku, name, version: 1 } }])) }) };

describe('golden queries', () => {
  it('do not ask for what only the live index has, or has at another version than the catalogue', async () => {
    const live = await indexOf({ ...lamps, 'L-9': 'never in the catalogue' });
    expect(await askGolden({ admin, source }, { target: await indexOf(lamps), live, queries: [] })).toMatchObject([{ passed: true, detail: 'all of 3 that should be are found' }, { passed: true }]);
  });
  it('pass where every product is among the first ten, and name what is not', async () => {
    const target = await indexOf(lamps);
    const queries = [{ q: 'lamp', skus: ['L-1'], currency: 'USD' }, { q: 'lantern', skus: ['L-2', 'L-9'], currency: 'USD' }];
    expect(await askGolden({ admin, source }, { target, live: undefined, queries: queries.slice(0, 1) })).toMatchObject([{ passed: true }]);
    expect(await askGolden({ admin, source }, { target, live: undefined, queries })).toMatchObject([{ passed: false, detail: '1 of 3 are not found: L-9 by "lantern"' }]);
  });
  it('find in the target what the live index finds by sku and by name', async () => {
    const live = await indexOf(lamps);
    expect((await askGolden({ admin, source }, { target: await indexOf(lamps), live, queries: [] })).map(({ passed }) => passed)).toEqual([true, true]);
    const poor = await askGolden({ admin, source }, { target: await indexOf({ ...lamps, 'L-2': 'something else' }), live, queries: [] });
    expect(poor).toMatchObject([{ passed: true }, { passed: false, detail: expect.stringContaining('L-2 by "oil lantern"') }]);
    const lost = await askGolden({ admin, source }, { target: await indexOf({ 'L-1': 'brass lamp' }), live, queries: [] });
    expect(lost).toMatchObject([{ passed: false, detail: expect.stringContaining('L-3') }, { passed: false }]);
  });
  it.each([
    ['no JSON', '{', 'it is no JSON'], ['no list', '{"q":"x"}', 'expected array'], ['an entry without products', '[{"q":"x","skus":[]}]', 'skus'], ['a misspelt field', '[{"q":"x","skus":["a"],"limit":3}]', 'limit'],
  ])('refuse a file with %s in a sentence that names it', async (_what, text, reason) => {
    const path = await file(text);
    await expect(readGoldenQueries(path)).rejects.toThrow(path);
    await expect(readGoldenQueries(path)).rejects.toThrow(reason);
  });
  it('refuse a file that is not there', async () => {
    await expect(readGoldenQueries('/nowhere/golden.json')).rejects.toThrow('GOLDEN_QUERIES_FILE: /nowhere/golden.json cannot be read');
  });
});
