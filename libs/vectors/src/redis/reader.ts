import { asFields, asList, asText } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { checkLimit, checkVector } from '../check-vector.ts';
import { VectorsUnavailableError } from '../errors.ts';
import type { SimilarHit, VectorModel, VectorReader } from '../ports.ts';
import { byScoreThenSku } from '../top.ts';
import { asking, connectVectorRedis, type RedisVectorOptions } from './client.ts';
import { recordFields, toPayload, toRecord } from './hashes.ts';
import { createNames } from './names.ts';
import { createSearch, distance } from './search.ts';

/** Nearest neighbours in the collection that the alias names: approximate (HNSW) without a filter, exact with one that up to 5,000 products pass. */
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
  const search = createSearch(redis, collection ?? options.alias, options);
  let known: { readonly collection: string; readonly model: VectorModel } | undefined;

  const current = async (): Promise<string | undefined> => collection ?? (await redis.get(names.live)) ?? undefined;
  /** The document is large and rarely new: only the name is asked for each time, and no name is used again. */
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
      // What is known may be of the collection before.
      const { dimensions } = known?.model.dimensions === vector.length ? known.model : ((await model()) ?? { dimensions: vector.length });
      checkVector(vector, { dimensions, what: 'the vector to search by' });
      const reply = await asking(() => search(vector, query));
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
