import { asFields, asList, asText } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { checkLimit, checkVector } from '../check-vector.ts';
import { VectorsUnavailableError } from '../errors.ts';
import type { SimilarHit, SimilarQuery, VectorModel, VectorReader } from '../ports.ts';
import { byScoreThenSku } from '../top.ts';
import { asking, connectVectorRedis, defaultHnsw, type RedisVectorOptions } from './client.ts';
import { payloadFields, recordFields, toPayload, toRecord } from './hashes.ts';
import { createNames, toTag } from './names.ts';

/** Nearest neighbours in the collection that the alias names: approximate (HNSW) without a filter, exact with one. */
export async function openRedisVectorReader(options: RedisVectorOptions): Promise<VectorReader> {
  const connection = await connectVectorRedis(options, 'request');
  return createRedisReader({ ...connection, options });
}

export interface ReaderDeps {
  readonly redis: Redis;
  readonly close: () => Promise<void>;
  readonly options: RedisVectorOptions;
  /** Always this one; else the live one. */
  readonly collection?: string;
}

export function createRedisReader({ redis, close, options, collection }: ReaderDeps): VectorReader {
  const names = createNames(options);
  const efRuntime = options.hnsw?.efRuntime ?? defaultHnsw.efRuntime;
  let known: { readonly collection: string; readonly model: VectorModel } | undefined;

  const current = async (): Promise<string | undefined> => collection ?? (await redis.get(names.live)) ?? undefined;
  /** The document is large and rarely new: only the name is asked for each time. A name that is used again has the same model. */
  const model = (): Promise<VectorModel | undefined> =>
    asking(async () => {
      const name = await current();
      if (name === undefined) return undefined;
      if (known?.collection === name) return known.model;
      known = { collection: name, model: await readModel(redis, name) };
      return known.model;
    });

  return {
    exact: false,
    model,
    get: (sku) =>
      asking(async () => {
        const name = await current();
        if (name === undefined) throw new VectorsUnavailableError('there is no live vector collection yet');
        const values = asList(await redis.callBuffer('HMGET', [names.record(name, sku), ...recordFields]));
        return toRecord(sku, values.map((value) => (Buffer.isBuffer(value) ? value : undefined)));
      }),
    async nearest(vector, query) {
      checkLimit(query.limit);
      const { dimensions } = known?.model ?? (await model()) ?? { dimensions: vector.length };
      checkVector(vector, { dimensions, what: 'the vector to search by' });
      const reply = await asking(() => redis.call('FT.SEARCH', [collection ?? options.alias, ...searchArguments(vector, query, efRuntime)]));
      const excluded = new Set(query.excludeSkus);
      return asHits(reply).filter(({ sku }) => !excluded.has(sku)).toSorted(byScoreThenSku).slice(0, query.limit);
    },
    close,
  };
}

/** Throws VectorsUnavailableError where there is no such collection, or one that is being dropped. */
export async function readModel(redis: Redis, collection: string): Promise<VectorModel> {
  const [state, id, dimensions, document] = await redis.hmget(collection, 'state', 'model_id', 'dimensions', 'document');
  if (state !== 'open' || typeof id !== 'string' || typeof document !== 'string') throw new VectorsUnavailableError(`the vector collection ${collection} does not exist`);
  return { id, dimensions: Number(dimensions), document };
}

const distance = 'distance';
const returned = ['sku', 'embedded_at', distance, ...payloadFields];

/**
 * Every value travels as a parameter. As many more are asked for as are left out: at most those can be in the way.
 * A filtered search compares with every product that passes (ADHOC_BF), which is exact: the graph loses up to 4 % there (docs/adr/0010-redis-vectors.md).
 */
function searchArguments(vector: Float32Array, { limit, category, brand, excludeSkus }: SimilarQuery, efRuntime: number): (string | number | Buffer)[] {
  const count = limit + excludeSkus.length;
  const tags = Object.entries({ category, brand }).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value: toTag(value) }]));
  const filter = tags.length === 0 ? '*' : `(${tags.map(({ name }) => `@${name}_tag:{$${name}}`).join(' ')})`;
  const how = tags.length === 0 ? 'EF_RUNTIME $ef' : 'HYBRID_POLICY ADHOC_BF';
  const params = ['vector', Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength), 'count', count, ...(tags.length === 0 ? ['ef', Math.max(efRuntime, count)] : []), ...tags.flatMap(({ name, value }) => [name, value])];
  return [
    `${filter}=>[KNN $count @vector $vector ${how} AS ${distance}]`, 'PARAMS', params.length, ...params,
    'SORTBY', distance, 'ASC', 'RETURN', returned.length, ...returned, 'LIMIT', 0, count, 'DIALECT', 2,
  ];
}

/** Number of results, then key and fields of each; a product that went meanwhile has none. */
function asHits(reply: unknown): SimilarHit[] {
  return asList(reply).slice(1).flatMap((entry) => {
    if (!Array.isArray(entry)) return [];
    const fields = asFields(entry);
    const field = (name: string): string | undefined => (fields.has(name) ? asText(fields.get(name)) : undefined);
    const [sku, embeddedAt, apart] = [field('sku'), field('embedded_at'), field(distance)];
    if (sku === undefined || embeddedAt === undefined || apart === undefined) return [];
    return [{ sku, score: Math.max(-1, Math.min(1, 1 - Number(apart))), payload: toPayload(field), embeddedAt }];
  });
}
