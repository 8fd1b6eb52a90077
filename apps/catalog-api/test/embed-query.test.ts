import { describe, expect, it } from '@jest/globals';
import { EmbeddingUnavailableError, modelId, serializeModel, unfittedModel } from '@millrace/embedding';
import type { EmbeddingModel, EmbedTexts } from '@millrace/embedding';
import type { VectorModel } from '@millrace/vectors';
import { Registry } from 'prom-client';
import { createQueryEmbedder } from '../src/embed-query.ts';

const asStored = (model: EmbeddingModel): VectorModel => ({ id: modelId(model), dimensions: model.dimensions, document: serializeModel(model) });
const remote = (model: string): VectorModel => asStored({ kind: 'openai', model, dimensions: 2 });

function open(first: VectorModel | undefined, embed?: EmbedTexts) {
  const world: { model: VectorModel | undefined } = { model: first };
  const asked: string[] = [];
  const metrics = new Registry();
  const made: EmbedTexts = embed ?? (async (texts) => texts.map(() => Float32Array.of(1, 0)));
  const embedQuery = createQueryEmbedder({
    vectors: { model: async () => world.model }, cacheSize: 3, remoteNoise: 0.2, metrics,
    openRemote: async ({ model }) => (texts) => {
      asked.push(...texts.map((text) => `${model}: ${text}`));
      return made(texts);
    },
  });
  const count = async (result: string): Promise<number> => (await metrics.getSingleMetric('query_vectors_total')?.get())?.values.find(({ labels }) => labels['result'] === result)?.value ?? 0;
  return { world, asked, embedQuery, count };
}

describe('the vector of a query', () => {
  it('is made once for a text and a model, whatever its spaces, and counted as hit or miss', async () => {
    const { asked, embedQuery, count } = open(remote('m'));
    for (const text of ['red lamp', ' red   lamp ', 'red lamp', 'desk']) expect(await embedQuery(text)).toEqual({ vector: Float32Array.of(1, 0), noise: 0.2 });
    expect(asked).toEqual(['m: red lamp', 'm: desk']);
    expect([await count('hit'), await count('miss'), await count('failed')]).toEqual([2, 2, 0]);
  });
  it('is made anew by another model, and found again when the first one is live again', async () => {
    const { world, asked, embedQuery } = open(remote('m'));
    await embedQuery('lamp');
    world.model = remote('n');
    await embedQuery('lamp');
    world.model = remote('m');
    await embedQuery('lamp');
    expect(asked).toEqual(['m: lamp', 'n: lamp']);
  });
  it('is asked for once by searches at the same time', async () => {
    const { asked, embedQuery } = open(remote('m'));
    await Promise.all([embedQuery('lamp'), embedQuery('lamp'), embedQuery('lamp')]);
    expect(asked).toEqual(['m: lamp']);
  });
  it('forgets what was not asked for longest', async () => {
    const { asked, embedQuery } = open(remote('m'));
    for (const text of ['a', 'b', 'c', 'd', 'd', 'a']) await embedQuery(text);
    expect(asked).toEqual(['m: a', 'm: b', 'm: c', 'm: d', 'm: a']);
  });
  it('rejects while the model cannot be asked, and does not remember that', async () => {
    let isAway = true;
    const { embedQuery, count } = open(remote('m'), async (texts) => {
      if (isAway) throw new EmbeddingUnavailableError('away', { trouble: 'away' });
      return texts.map(() => Float32Array.of(0, 1));
    });
    await expect(embedQuery('lamp')).rejects.toThrow('away');
    expect(await count('failed')).toBe(1);
    isAway = false;
    expect((await embedQuery('lamp'))?.vector).toEqual(Float32Array.of(0, 1));
  });
  it('is of TF-IDF where the collection is, and of nothing without a model or a term', async () => {
    const tfidf = open(asStored(unfittedModel({ dimensions: 16 })));
    expect((await tfidf.embedQuery('lamp'))?.vector).toHaveLength(16);
    expect((await tfidf.embedQuery('lamp'))?.noise).toBeCloseTo(0.75);
    expect(await tfidf.embedQuery('!')).toBeUndefined();
    expect(await tfidf.embedQuery('!')).toBeUndefined();
    expect(await open(undefined).embedQuery('lamp')).toBeUndefined();
  });
});
