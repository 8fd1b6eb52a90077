import { byScoreThenSku, checkLimit, checkVector, VectorsUnavailableError } from '@millrace/vectors';
import type { SimilarQuery, VectorModel, VectorReader } from '@millrace/vectors';
import type { Index } from '@pinecone-database/pinecone';
import { asking, connectPinecone, type PineconeOptions } from './client.ts';
import { createControl, type Control } from './control.ts';
import { keyOf, spacesOf, toHitBody } from './records.ts';
import { readRows } from './writer.ts';

const defaultLiveTtlMs = 1_000;

/** Approximate nearest neighbours in the live collection, which is looked up once a second. */
export async function openPineconeVectorReader(options: PineconeOptions): Promise<VectorReader> {
  const index = connectPinecone(options, 2_000);
  const control = createControl(index, { namespace: options.namespace, freshMs: 0 });
  const { liveTtlMs = defaultLiveTtlMs } = options;
  let known: { readonly name: string | undefined; readonly untilMs: number } | undefined;
  const live = async (): Promise<string | undefined> => {
    if (known === undefined || known.name === undefined || performance.now() >= known.untilMs) known = { name: await control.live(), untilMs: performance.now() + liveTtlMs };
    return known.name;
  };
  return createPineconeReader({ index, control, current: live });
}

export interface ReaderDeps {
  readonly index: Index;
  readonly control: Pick<Control, 'model'>;
  /** The collection that is read now. */
  readonly current: () => Promise<string | undefined>;
}

export function createPineconeReader({ index, control, current }: ReaderDeps): VectorReader {
  let known: { readonly collection: string; readonly model: VectorModel } | undefined;
  const collection = async (): Promise<string> => {
    const name = await current();
    if (name === undefined) throw new VectorsUnavailableError('there is no live vector collection yet');
    return name;
  };
  const modelOf = async (name: string): Promise<VectorModel> => {
    if (known?.collection !== name) known = { collection: name, model: await control.model(name) };
    return known.model;
  };
  return {
    exact: false,
    async model() {
      const name = await current();
      return name === undefined ? undefined : modelOf(name);
    },
    async get(sku) {
      const row = (await readRows(index, await collection(), [sku])).get(sku);
      if (row === undefined || row.deleted) return undefined;
      const { deleted: _deleted, ...record } = row;
      return record;
    },
    async nearest(vector, query) {
      checkLimit(query.limit);
      const name = await current();
      checkVector(vector, { dimensions: name === undefined ? vector.length : (await modelOf(name)).dimensions, what: 'the vector to search by' });
      if (name === undefined) throw new VectorsUnavailableError('there is no live vector collection yet');
      const { matches } = await asking(() => index.query({ namespace: spacesOf(name).found, vector: [...vector], topK: query.limit, includeMetadata: true, filter: toFilter(query) }));
      return matches
        .map(({ score = 0, metadata }) => {
          const { sku, payload, embeddedAt } = toHitBody(metadata);
          return { sku, score: Math.max(-1, Math.min(1, score)), payload, embeddedAt };
        })
        .toSorted(byScoreThenSku);
    },
    close: async () => undefined,
  };
}

/** Part of the search: https://docs.pinecone.io/guides/search/filter-by-metadata */
function toFilter({ category, brand, excludeSkus }: SimilarQuery): object {
  return {
    kind: { $eq: 'product' },
    ...(category !== undefined && { category_key: { $eq: keyOf(category) } }),
    ...(brand !== undefined && { brand_key: { $eq: keyOf(brand) } }),
    ...(excludeSkus.length > 0 && { key: { $nin: excludeSkus.map(keyOf) } }),
  };
}
