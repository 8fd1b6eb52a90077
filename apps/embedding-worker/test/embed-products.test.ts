import { describe, expect, it } from '@jest/globals';
import { productExample } from '@millrace/contracts';
import type { Product } from '@millrace/contracts';
import { EmbeddingUnavailableError } from '@millrace/embedding';
import type { EmbedTexts } from '@millrace/embedding';
import type { ProjectedChange } from '@millrace/projection';
import type { VectorWriter } from '@millrace/vectors';
import { embedProducts } from '../src/embed-products.ts';
import { memoryWriter } from './support/memory-writer.ts';

const one: EmbedTexts = async (texts) => texts.map(() => new Float32Array([1]));
const product = (sku: string, version: number, name: string, over: Partial<Product> = {}): Product => ({ ...productExample, status: 'active', sku, version, name, ...over });
const put = (sku: string, version: number, name: string, over: Partial<Product> = {}): ProjectedChange => ({ sku, version, product: product(sku, version, name, over) });
const gone = (sku: string, version: number): ProjectedChange => ({ sku, version });

async function run(...batches: ProjectedChange[][]): Promise<{ state: Record<string, string>; embedded: string[] }> {
  const { writer, kept } = memoryWriter();
  const embedded: string[] = [];
  const embed: EmbedTexts = async (texts) => {
    embedded.push(...texts.map((text) => text.split('\n')[0] ?? ''));
    return texts.map(() => new Float32Array([1]));
  };
  for (const batch of batches) await embedProducts({ collection: 'c', writer, embed }, batch);
  return { state: Object.fromEntries([...kept].map(([sku, { version, deleted, record }]) => [sku, deleted ? `deleted@${version}` : `${record?.payload.name}@${version}`])), embedded };
}

describe('embedProducts', () => {
  it.each([
    { name: 'stores a new product', batches: [[put('a', 1, 'x')]], state: { a: 'x@1' }, embedded: ['x'] },
    { name: 'changes nothing when the same event comes twice', batches: [[put('a', 1, 'x')], [put('a', 1, 'x')]], state: { a: 'x@1' }, embedded: ['x'] },
    { name: 'ignores an update older than a delete', batches: [[gone('a', 3)], [put('a', 2, 'x')]], state: { a: 'deleted@3' }, embedded: [] },
    { name: 'ignores an older update that comes late', batches: [[put('a', 2, 'y')], [put('a', 1, 'x')]], state: { a: 'y@2' }, embedded: ['y'] },
    { name: 'takes a deleted product up again', batches: [[put('a', 1, 'x')], [gone('a', 2)], [put('a', 3, 'x')]], state: { a: 'x@3' }, embedded: ['x', 'x'] },
    { name: 'does not embed unchanged text again when the stock changes', batches: [[put('a', 1, 'x')], [put('a', 2, 'x', { stock: 0 })]], state: { a: 'x@2' }, embedded: ['x'] },
  ])('$name', async ({ batches, state, embedded }) => {
    expect(await run(...batches)).toEqual({ state, embedded });
  });
  it('tells again of what is stored at this version: the call before may have died before it was told', async () => {
    const { writer } = memoryWriter();
    const target = { collection: 'c', writer, embed: one };
    await embedProducts(target, [put('a', 2, 'x')]);
    expect(await embedProducts(target, [put('a', 2, 'x')])).toMatchObject({ changed: [{ sku: 'a', again: true }] });
    expect(await embedProducts(target, [put('a', 1, 'x')])).toEqual({ changed: [] });
  });
  it.each([
    { name: 'deletes it', meddle: [gone('a', 2)] },
    { name: 'gives it another text', meddle: [put('a', 2, 'another')] },
  ])('stores a product whose price changed while another worker $name, with a vector of its own text', async ({ meddle }) => {
    const { writer, kept } = memoryWriter();
    const target = { collection: 'c', writer, embed: one };
    await embedProducts(target, [put('a', 1, 'x')]);
    const meddled: VectorWriter = { ...writer, updatePayload: async (changes) => {
      await embedProducts(target, meddle);
      await writer.updatePayload(changes);
    } };
    const embedded: string[] = [];
    const embed: EmbedTexts = async (texts) => { embedded.push(...texts); return await one(texts); };
    expect(await embedProducts({ ...target, writer: meddled, embed }, [put('a', 3, 'x', { stock: 0 })])).toMatchObject({ changed: [{ sku: 'a', version: 3 }] });
    expect(embedded).toEqual([expect.stringMatching(/^x\n/)]);
    expect(kept.get('a')).toMatchObject({ version: 3, deleted: false, record: { payload: { name: 'x', in_stock: false } } });
  });
  it('names the categories that a product was and is in', async () => {
    const { writer } = memoryWriter();
    const target = { collection: 'c', writer, embed: one };
    await embedProducts(target, [put('a', 1, 'x', { category: 'old' })]);
    expect(await embedProducts(target, [put('a', 2, 'x', { category: 'new' })])).toEqual({ changed: [{ sku: 'a', version: 2, categories: ['old', 'new'], again: false }] });
  });
  it('deletes, changes prices and stores vectors that are there while the model is away, and names what waits for it', async () => {
    const { writer, kept } = memoryWriter();
    await embedProducts({ collection: 'c', writer, embed: one }, [put('a', 1, 'x'), put('b', 1, 'y'), put('c', 1, 'z')]);
    const away: EmbedTexts = async () => { throw new EmbeddingUnavailableError('away', { trouble: 'away' }); };
    const batch = [gone('a', 2), put('b', 2, 'y', { stock: 0 }), put('c', 2, 'another text'), put('d', 1, 'made elsewhere')];
    const known = async (sku: string): Promise<Float32Array | undefined> => (sku === 'd' ? Float32Array.of(9) : undefined);
    const { changed, waiting } = await embedProducts({ collection: 'c', writer, embed: away }, batch, { known });
    expect([changed.map(({ sku }) => sku), waiting]).toEqual([['a', 'b', 'd'], { skus: new Set(['c']), error: expect.any(EmbeddingUnavailableError) }]);
    expect([...kept].map(([sku, { version, deleted }]) => [sku, version, deleted])).toEqual([['a', 2, true], ['b', 2, false], ['c', 1, false], ['d', 1, false]]);
    await embedProducts({ collection: 'c', writer, embed: one }, batch);
    expect(kept.get('c')?.version).toBe(2);
  });
  it('asks for all texts of a batch at once, and only for vectors that are nowhere yet', async () => {
    const { writer, kept } = memoryWriter();
    const asked: (readonly string[])[] = [];
    const embed: EmbedTexts = async (texts) => {
      asked.push(texts);
      return texts.map((_text, at) => Float32Array.of(at + 1));
    };
    const known = async (sku: string): Promise<Float32Array | undefined> => (sku === 'b' ? Float32Array.of(9) : undefined);
    await embedProducts({ collection: 'c', writer, embed }, [put('a', 1, 'x'), put('b', 1, 'y'), put('c', 1, 'z')], { known });
    expect(asked.map((texts) => texts.length)).toEqual([2]);
    expect([...kept].map(([sku, { record: stored }]) => [sku, stored?.vector?.[0]])).toEqual([['a', 1], ['b', 9], ['c', 2]]);
  });
});
