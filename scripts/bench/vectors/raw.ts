import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { Pinecone } from '@pinecone-database/pinecone';
import { QdrantClient } from '@qdrant/js-client-rest';
import { ConsistencyLevelEnum, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { z } from 'zod';

/** An engine's own client with nothing of ours around it, on the same collection. */
export interface RawClient {
  /** The same candidates and the same fields in the answer. */
  nearest(vector: Float32Array): Promise<unknown>;
  /** Reads so many stored rows; the function writes them as they are, in one request where the engine has one. */
  rewriter(skus: readonly string[]): Promise<() => Promise<unknown>>;
  close(): Promise<unknown>;
}

export function rawRedis(url: string, index: string): RawClient {
  const redis = connectRedis(url, { role: 'background', name: 'bench-raw' });
  return {
    nearest: (vector) => redis.call('FT.SEARCH', [index, '*=>[KNN 10 @vector $v EF_RUNTIME 100 AS distance]', 'PARAMS', 2, 'v', Buffer.from(new Uint8Array(vector.buffer)), 'SORTBY', 'distance', 'LIMIT', 0, 10, 'RETURN', 3, 'sku', 'name', 'distance', 'DIALECT', 2]),
    async rewriter(skus) {
      const hashes = await Promise.all(skus.map(async (sku) => [`${index}:${sku}`, await redis.hgetallBuffer(`${index}:${sku}`)] as const));
      if (hashes.some(([, fields]) => fields['sku'] === undefined)) throw new Error(`${index} has no hash of one of the products`);
      return async () => {
        const pipeline = redis.pipeline();
        for (const [key, fields] of hashes) pipeline.hset(key, fields);
        await pipeline.exec();
      };
    },
    close: () => closeRedis(redis),
  };
}

const vectorSchema = z.object({ text: z.array(z.number()) });

export function rawQdrant(url: string, collection: string): RawClient {
  const client = new QdrantClient({ url, checkCompatibility: false, headers: { 'accept-encoding': 'identity' } });
  return {
    nearest: (vector) => client.query(collection, { query: [...vector], using: 'text', limit: 10, with_payload: true }),
    async rewriter(skus) {
      const { points } = await client.scroll(collection, { limit: skus.length, with_payload: true, with_vector: true });
      const written = points.map(({ id, payload, vector }) => ({ id, payload: payload ?? {}, vector: vectorSchema.parse(vector) }));
      return () => client.upsert(collection, { wait: true, points: written });
    },
    close: async () => undefined,
  };
}

export function rawMilvus(address: string, collection: string): RawClient {
  const client = new MilvusClient({ address, logLevel: 'silent', __SKIP_CONNECT__: true });
  return {
    nearest: (vector) => client.search({ collection_name: collection, anns_field: 'vector', data: [...vector], limit: 10, output_fields: ['body'], params: { ef: 100 }, consistency_level: ConsistencyLevelEnum.Strong }),
    async rewriter(skus) {
      const { data } = await client.query({ collection_name: collection, filter: 'findable == true', output_fields: ['id', 'vector', 'kind', 'findable', 'category_key', 'brand_key', 'version', 'deleted_at', 'body'], limit: skus.length });
      return () => client.upsert({ collection_name: collection, data });
    },
    close: () => client.closeConnection(),
  };
}

export function rawPinecone({ apiKey, host }: { readonly apiKey: string; readonly host: string }, namespace: string): RawClient {
  const index = new Pinecone({ apiKey }).index({ host });
  return {
    nearest: (vector) => index.query({ namespace, vector: [...vector], topK: 10, includeMetadata: true }),
    async rewriter(skus) {
      const { vectors = [] } = await index.listPaginated({ namespace, limit: skus.length });
      const { records } = await index.fetch({ namespace, ids: vectors.flatMap(({ id }) => id ?? []) });
      return () => index.upsert({ namespace, records: Object.values(records) });
    },
    close: async () => undefined,
  };
}
