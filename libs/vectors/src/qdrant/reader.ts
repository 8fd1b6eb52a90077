import type { QdrantClient, Schemas } from '@qdrant/js-client-rest';
import { checkLimit, checkVector } from '../check-vector.ts';
import { VectorsUnavailableError } from '../errors.ts';
import { byScoreThenSku } from '../top.ts';
import type { SimilarQuery, VectorModel, VectorReader } from '../ports.ts';
import { asking, connectQdrant, statusOf, type QdrantOptions } from './client.ts';
import { modelPointId, modelPointSchema, pointId, productPointSchema, toModel, toPayload, vectorName, vectorOf } from './points.ts';

/** Approximate nearest neighbours (HNSW) in the collection that the alias names. */
export const openQdrantVectorReader = async (options: QdrantOptions): Promise<VectorReader> => createQdrantReader(connectQdrant(options, 2_000), options.alias);

/** `name`: a collection, or an alias of one. */
export function createQdrantReader(client: QdrantClient, name: string): VectorReader {
  let known: VectorModel | undefined;

  const readModelPoint = async (fields: boolean | string[]): Promise<Schemas['Record'] | undefined> => {
    const [point] = await client.retrieve(name, { ids: [modelPointId], with_payload: fields, with_vector: false });
    return point;
  };

  /** The document is large and rarely new: only its id is asked for each time. */
  async function model(): Promise<VectorModel | undefined> {
    try {
      const named = await asking(() => readModelPoint(['model_id']));
      if (known !== undefined && named?.payload?.['model_id'] === known.id) return known;
      const point = await asking(() => readModelPoint(true));
      known = point === undefined ? undefined : toModel(modelPointSchema.parse(point.payload));
      return known;
    } catch (error) {
      if (error instanceof VectorsUnavailableError && statusOf(error.cause) === 404) return undefined;
      throw error;
    }
  }

  return {
    exact: false,
    model,
    async get(sku) {
      const [point] = await asking(() => client.retrieve(name, { ids: [pointId(sku)], with_payload: true, with_vector: [vectorName] }));
      const product = productPointSchema.safeParse(point?.payload);
      if (!product.success) return undefined;
      const vector = vectorOf(point?.vector);
      const { version, text_hash: textHash, embedded_at: embeddedAt } = product.data;
      return { sku, version, ...(vector === undefined ? {} : { vector }), textHash, payload: toPayload(product.data), embeddedAt };
    },
    async nearest(vector, query) {
      checkLimit(query.limit);
      const { dimensions } = known?.dimensions === vector.length ? known : ((await model()) ?? { dimensions: vector.length });
      checkVector(vector, { dimensions, what: 'the vector to search by' });
      const { points } = await asking(() =>
        client.query(name, { query: [...vector], using: vectorName, filter: toFilter(query), limit: query.limit, with_payload: true, with_vector: false }),
      );
      return points
        .map(({ payload, score }) => {
          const product = productPointSchema.parse(payload);
          return { sku: product.sku, score: Math.max(-1, Math.min(1, score)), payload: toPayload(product), embeddedAt: product.embedded_at };
        })
        .toSorted(byScoreThenSku);
    },
    close: async () => undefined,
  };
}

/** Part of the search, so that a selective filter cannot leave it with too few candidates. */
function toFilter({ category, brand, excludeSkus }: SimilarQuery): Schemas['Filter'] {
  const must = Object.entries({ category, brand }).flatMap(([key, value]) => (value === undefined ? [] : [{ key, match: { value } }]));
  const excluded = excludeSkus.length === 0 ? [] : [{ has_id: excludeSkus.map(pointId) }];
  return { must, must_not: [{ key: 'deleted', match: { value: true } }, ...excluded] };
}
