import { asFields, asText, infoField, onReconnect } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { VectorsUnavailableError } from '../errors.ts';
import type { VectorAdmin, VectorModel } from '../ports.ts';
import { asking, connectVectorRedis, defaultHnsw, type HnswOptions, type RedisVectorOptions } from './client.ts';
import { dropRecords, purgeOld } from './clear.ts';
import { completeMirror } from './mirror.ts';
import { createNames, tagSeparator, type Names } from './names.ts';
import { createRedisReader, readModel } from './reader.ts';
import { createReplay } from './replay.ts';
import { createCollection, markDropped, swapCollection } from './scripts.ts';
import { readVersions } from './versions.ts';
import { createRedisWriter } from './writer.ts';

const dayMs = 86_400_000;
/** A collection is judged by readers that look at more candidates than others: with 100, one of 1,000 products did not find itself among 100,000, with 400 none. */
const validationEf = 400;

/** Collections as indexes over hashes of one Redis with the search module, behind one index alias. */
export async function openRedisVectorAdmin(options: RedisVectorOptions): Promise<VectorAdmin> {
  const connection = await connectVectorRedis(options, 'background');
  const { redis } = connection;
  const names = createNames(options);
  const { aliasKeys = false } = options;
  const closing = new AbortController();
  const replay = createReplay(() => infoField(redis, 'run_id'), closing.signal);
  onReconnect(redis, () => replay.reconnected());
  const liveCollection = async (): Promise<string | undefined> => (await asking(() => redis.get(names.live))) ?? undefined;
  const list = (): Promise<string[]> => asking(() => redis.smembers(names.collections));
  const modelOf = (collection: string): Promise<VectorModel> => asking(() => readModel(redis, collection));
  const drop = (collection: string): Promise<void> => asking(() => dropCollection({ redis, names }, collection));

  return {
    liveCollection,
    modelOf,
    createCollection: (model) => asking(() => createNext({ redis, names }, model, { ...defaultHnsw, ...options.hnsw })),
    async openWriter(collection) {
      const model = await modelOf(collection);
      // A collection without its index is none: the caller builds another.
      await countOf(redis, collection);
      if ((await liveCollection()) === collection) await completeMirror({ redis, names, isWanted: aliasKeys }, collection);
      return createRedisWriter({ redis, names, replay, collection, model, aliasKeys });
    },
    async swapTo(collection) {
      const isSwapped = await asking(() => swapCollection(redis, [collection, names.live], [options.alias]));
      if (isSwapped !== 1) throw new VectorsUnavailableError(`the vector collection ${collection} does not exist`);
      await completeMirror({ redis, names, isWanted: aliasKeys }, collection);
    },
    dropCollection: drop,
    async dropOthers(keep) {
      const kept = new Set([...keep, await liveCollection()]);
      for (const collection of await list()) if (!kept.has(collection)) await drop(collection);
    },
    count: (collection) => countOf(redis, collection),
    async *readVersions(collection, ranges, signal) {
      await modelOf(collection);
      yield* readVersions({ redis, names }, { collection, ranges, signal });
    },
    async openReader(collection) {
      await modelOf(collection);
      const thorough = { ...options, hnsw: { ...options.hnsw, efRuntime: Math.max(validationEf, options.hnsw?.efRuntime ?? 0) } };
      return createRedisReader({ ...(await connectVectorRedis(options, 'request')), options: thorough, collection });
    },
    async purgeTombstones(olderThanDays) {
      let purged = 0;
      for (const collection of await list()) purged += await asking(() => purgeOld({ redis, names }, collection, Date.now() - olderThanDays * dayMs));
      return purged;
    },
    ping: () => asking(() => connection.check()),
    close: async () => {
      closing.abort();
      await connection.close();
    },
  };
}

interface Store { readonly redis: Redis; readonly names: Names }

async function createNext({ redis, names }: Store, model: VectorModel, hnsw: HnswOptions): Promise<string> {
  const keys = [names.collections, names.generations, names.firstCollection(model.id)];
  return asText(await createCollection(redis, keys, [model.id, model.dimensions, model.document, ...indexArguments(model.dimensions, hnsw)]));
}

/**
 * What follows the prefix in FT.CREATE. Only hashes with a vector are in the index, so tombstones are found by nobody. `category_tag` and
 * `brand_tag` are what our own filters use: exact for any string. `category` and `brand` are for other readers.
 */
function indexArguments(dimensions: number, { m, efConstruction, efRuntime }: HnswOptions): (string | number)[] {
  const graph = ['TYPE', 'FLOAT32', 'DIM', dimensions, 'DISTANCE_METRIC', 'COSINE', 'M', m, 'EF_CONSTRUCTION', efConstruction, 'EF_RUNTIME', efRuntime];
  const tag = ['TAG', 'SEPARATOR', tagSeparator, 'CASESENSITIVE'];
  return [
    'FILTER', 'exists(@vector)', 'SKIPINITIALSCAN', 'SCHEMA', 'vector', 'VECTOR', 'HNSW', graph.length, ...graph,
    ...['category_tag', 'brand_tag', 'category', 'brand', 'merchant_id', 'in_stock'].flatMap((field) => [field, ...tag]), 'price_minor', 'NUMERIC',
  ];
}

const countOf = (redis: Redis, collection: string): Promise<number> =>
  asking(async () => Number(asText(asFields(await redis.call('FT.INFO', [collection])).get('num_docs'))));

/** A drop that was cut short leaves its mark, and the next `dropOthers` goes on with it. */
async function dropCollection({ redis, names }: Store, collection: string): Promise<void> {
  if ((await markDropped(redis, [collection, names.live], [])) !== 1) return;
  await redis.call('FT.DROPINDEX', [collection]).catch((error: unknown) => {
    if (!/no such index|unknown index/i.test(String(error))) throw error;
  });
  await dropRecords({ redis, names }, collection);
  await redis.multi().del(collection).srem(names.collections, collection).exec();
}
