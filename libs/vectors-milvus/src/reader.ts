import { byScoreThenSku, checkLimit, checkVector } from '@millrace/vectors';
import type { SimilarQuery, VectorModel, VectorReader } from '@millrace/vectors';
import { ConsistencyLevelEnum } from '@zilliz/milvus2-sdk-node';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { asking, connectMilvus, isMissing, type MilvusOptions } from './client.ts';
import { idIn, readDocument, readModelHead, readStored, type Asked } from './queries.ts';
import { hitFields, keyOf, toHitBody } from './rows.ts';

const defaultEf = 100;

/** Approximate nearest neighbours (HNSW) in the collection that the alias names. */
export async function openMilvusVectorReader(options: MilvusOptions): Promise<VectorReader> {
  const client = connectMilvus(options, 2_000);
  return createMilvusReader(client, options.alias, options);
}

/** `name`: a collection, or an alias of one. Closes the client. */
export function createMilvusReader(client: MilvusClient, name: string, { efRuntime = defaultEf, consistency = 'Strong' }: Pick<MilvusOptions, 'efRuntime' | 'consistency'>): VectorReader {
  const asked: Asked = { client, name, consistency: consistency === 'Strong' ? ConsistencyLevelEnum.Strong : ConsistencyLevelEnum.Bounded };
  let known: VectorModel | undefined;

  /** The document is large and rarely new: only its name is asked for each time. */
  async function model(): Promise<VectorModel | undefined> {
    try {
      const head = await readModelHead(asked);
      if (head !== undefined && known?.id === head.id && known.dimensions === head.dimensions) return known;
      known = head && (await readDocument(asked, head));
      return known;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  return {
    exact: false,
    model,
    async get(sku) {
      const row = (await readStored(asked, [sku], { withVectors: true })).get(sku);
      if (row === undefined || row.deleted) return undefined;
      const { deleted: _deleted, ...record } = row;
      return record;
    },
    async nearest(vector, query) {
      checkLimit(query.limit);
      const { dimensions } = known?.dimensions === vector.length ? known : ((await model()) ?? { dimensions: vector.length });
      checkVector(vector, { dimensions, what: 'the vector to search by' });
      const { results } = await asking(() =>
        client.search({
          collection_name: name, anns_field: 'vector', data: [...vector], limit: query.limit, filter: toFilter(query), output_fields: hitFields,
          params: { ef: Math.max(efRuntime, query.limit) }, ...(asked.consistency !== undefined && { consistency_level: asked.consistency }),
        }),
      );
      return results
        .map(({ score, body }) => {
          const { sku, payload, embeddedAt } = toHitBody(body);
          return { sku, score: Math.max(-1, Math.min(1, score)), payload, embeddedAt };
        })
        .toSorted(byScoreThenSku);
    },
    close: async () => void (await client.closeConnection()),
  };
}

/** Part of the search, so that a selective filter cannot leave it with too few candidates. */
function toFilter({ category, brand, excludeSkus }: SimilarQuery): string {
  const parts = ['findable == true'];
  if (category !== undefined) parts.push(`category_key == "${keyOf(category)}"`);
  if (brand !== undefined) parts.push(`brand_key == "${keyOf(brand)}"`);
  if (excludeSkus.length > 0) parts.push(`not (${idIn(excludeSkus.map(keyOf))})`);
  return parts.join(' and ');
}
