import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { productExample } from '@millrace/contracts';
import { openEmbedder, modelId, serializeModel, unfittedModel } from '@millrace/embedding';
import { openEmbeddedVectorAdmin } from '@millrace/vectors';
import type { VectorAdmin } from '@millrace/vectors';
import { embedProducts } from '../src/embed-products.ts';
import { askNeighbours } from '../src/golden-neighbours.ts';

const model = unfittedModel({ dimensions: 64 });
let directory: string;
let admin: VectorAdmin;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-golden-'));
  admin = await openEmbeddedVectorAdmin({ directory });
});
afterAll(async () => {
  await admin.close();
  await rm(directory, { recursive: true });
});
const { signal } = new AbortController();

async function collectionOf(names: readonly string[]): Promise<string> {
  const collection = await admin.createCollection({ id: modelId(model), dimensions: 64, document: serializeModel(model) });
  const writer = await admin.openWriter(collection);
  const embed = await openEmbedder(model, async () => { throw new Error('TF-IDF only'); });
  await embedProducts({ collection, writer, embed }, names.map((name, n) => ({ sku: `s${n}`, version: 1, product: { ...productExample, sku: `s${n}`, name, description: null, category: null, version: 1, status: 'active' } })));
  await writer.close();
  return collection;
}

describe('golden neighbours', () => {
  it('pass where products find themselves, also where more than ten have the very same text', async () => {
    const collection = await collectionOf([...Array.from({ length: 15 }, () => 'one and the same'), 'brass lamp', 'oil lantern', '']);
    expect(await askNeighbours(admin, collection, signal)).toMatchObject([{ passed: true, detail: 'all of 17 find themselves' }]);
  });
  it('pass in an empty collection, and name who does not find itself', async () => {
    expect(await askNeighbours(admin, await collectionOf([]), signal)).toMatchObject([{ passed: true }]);
    const collection = await collectionOf(['brass lamp', 'oil lantern']);
    const blind: VectorAdmin = { ...admin, openReader: async (name) => ({ ...(await admin.openReader(name)), nearest: async () => [] }) };
    expect(await askNeighbours(blind, collection, signal)).toMatchObject([{ passed: false, detail: '2 of 2 do not find themselves: s0, s1' }]);
  });
});
