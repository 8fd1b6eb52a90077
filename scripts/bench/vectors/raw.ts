import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { QdrantClient } from '@qdrant/js-client-rest';
import { ConsistencyLevelEnum, MilvusClient } from '@zilliz/milvus2-sdk-node';

/** One search by an engine's own client, of the same collection, with the same candidates and the same fields in the answer. */
export interface RawSearch {
  nearest(vector: Float32Array): Promise<unknown>;
  close(): Promise<unknown>;
}

export function rawRedis(url: string, index: string): RawSearch {
  const redis = connectRedis(url, { role: 'background', name: 'bench-raw' });
  return {
    nearest: (vector) => redis.call('FT.SEARCH', [index, '*=>[KNN 10 @vector $v EF_RUNTIME 100 AS distance]', 'PARAMS', 2, 'v', Buffer.from(new Uint8Array(vector.buffer)), 'SORTBY', 'distance', 'LIMIT', 0, 10, 'RETURN', 3, 'sku', 'name', 'distance', 'DIALECT', 2]),
    close: () => closeRedis(redis),
  };
}

export function rawQdrant(url: string, collection: string): RawSearch {
  const client = new QdrantClient({ url, checkCompatibility: false, headers: { 'accept-encoding': 'identity' } });
  return { nearest: (vector) => client.query(collection, { query: [...vector], using: 'text', limit: 10, with_payload: true }), close: async () => undefined };
}

export function rawMilvus(address: string, collection: string): RawSearch {
  const client = new MilvusClient({ address, logLevel: 'silent', __SKIP_CONNECT__: true });
  return {
    nearest: (vector) => client.search({ collection_name: collection, anns_field: 'vector', data: [...vector], limit: 10, output_fields: ['body'], params: { ef: 100 }, consistency_level: ConsistencyLevelEnum.Strong }),
    close: () => client.closeConnection(),
  };
}
