import { createRedisWriterLock, VectorsUnavailableError } from '@millrace/vectors';
import type { VectorAdmin, VectorModel, WriterLock } from '@millrace/vectors';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { asking, connectMilvus, defaultIndex, isMissing, type MilvusOptions } from './client.ts';
import { countRows, readModel, readModelHead, upsertRows } from './queries.ts';
import { createMilvusReader } from './reader.ts';
import { fieldsFor, modelRows } from './rows.ts';
import { readVersions } from './versions.ts';
import { createMilvusWriter } from './writer.ts';

const dayMs = 86_400_000;
/** A collection is judged by readers that look at more candidates than others. */
const validationEf = 400;

/** Collections `<alias>_<number>` behind one alias; each holds its model in rows of its own. `lockUrl` is required. */
export async function openMilvusVectorAdmin(options: MilvusOptions): Promise<VectorAdmin> {
  const { alias, lockUrl } = options;
  if (lockUrl === undefined) throw new Error('an administrator of Milvus needs lockUrl: the Redis of its writers lease');
  const client = connectMilvus(options, 30_000);
  const lock = createRedisWriterLock({ url: lockUrl, prefix: 'vectors:milvus' });
  const of = (name: string) => ({ client, name });

  const { live, list, drop, swap } = collectionsOf(client, alias);

  return {
    liveCollection: live,
    modelOf: (collection) => readModel(of(collection)),
    createCollection: (model) => createNext({ client, lock, options }, model),
    async openWriter(collection) {
      const head = await readModelHead(of(collection));
      if (head === undefined) throw new VectorsUnavailableError(`the vector collection ${collection} has no model`);
      return createMilvusWriter({ client, lock, collection, dimensions: head.dimensions });
    },
    swapTo: swap,
    dropCollection: drop,
    async dropOthers(keep) {
      const kept = new Set([...keep, await live()]);
      for (const collection of await list()) if (!kept.has(collection)) await drop(collection);
    },
    count: (collection) => countRows(of(collection), 'findable == true'),
    async *readVersions(collection, ranges, signal) {
      await readModelHead(of(collection));
      yield* readVersions(of(collection), ranges, signal);
    },
    async openReader(collection) {
      await readModel(of(collection));
      return createMilvusReader(connectMilvus(options, 2_000), collection, { efRuntime: Math.max(validationEf, options.efRuntime ?? 0) });
    },
    async purgeTombstones(olderThanDays) {
      const filter = `kind == "tombstone" and deleted_at <= ${Date.now() - olderThanDays * dayMs}`;
      let purged = 0;
      for (const collection of await list()) purged += await lock.hold(collection, () => purge({ client, collection }, filter));
      return purged;
    },
    ping: async () => void (await asking(() => client.getVersion())),
    close: async () => {
      await lock.close();
      await client.closeConnection();
    },
  };
}

/** The physical collections, and the alias that names the live one. */
function collectionsOf(client: MilvusClient, alias: string) {
  const live = async (): Promise<string | undefined> => {
    try {
      // The SDK wants a collection's name too; Milvus does not look at it.
      return (await asking(() => client.describeAlias({ alias, collection_name: alias }))).collection || undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  };
  return {
    live,
    list: async (): Promise<string[]> => (await asking(() => client.showCollections())).data.map(({ name }) => name).filter((name) => isOurs(name, alias)),
    drop: async (collection: string): Promise<void> => {
      if (collection === (await live())) return;
      await asking(() => client.dropCollection({ collection_name: collection })).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
    },
    swap: async (collection: string): Promise<void> => {
      // Reading the model proves that the collection is complete.
      await readModel({ client, name: collection });
      const change = { collection_name: collection, alias };
      const isFirst = (await live()) === undefined;
      await asking(() => (isFirst ? client.createAlias(change) : client.alterAlias(change)));
    },
  };
}

const isOurs = (name: string, alias: string): boolean => name.startsWith(`${alias}_`) && /^\d+$/.test(name.slice(alias.length + 1));

interface CreateDeps { readonly client: MilvusClient; readonly lock: WriterLock; readonly options: MilvusOptions }

/** Under the lock, and named by its fencing number: Milvus answers "created" for a name that is taken, and no name is ever taken twice. */
const createNext = ({ client, lock, options }: CreateDeps, model: VectorModel): Promise<string> =>
  lock.hold(options.alias, async ({ fencingNumber }) => {
    const index = { ...defaultIndex, ...options.index };
    const name = `${options.alias}_${fencingNumber}`;
    await asking(() => client.createCollection({ collection_name: name, fields: fieldsFor(model.dimensions), shards_num: index.shards, consistency_level: 'Strong' }));
    await asking(() => client.createIndex({ collection_name: name, field_name: 'vector', index_type: 'HNSW', metric_type: 'COSINE', params: { M: index.m, efConstruction: index.efConstruction } }));
    await asking(() => client.loadCollection({ collection_name: name, replica_number: index.replicas }));
    for (const row of modelRows(model)) await upsertRows({ client, name }, [row]);
    return name;
  });

async function purge({ client, collection }: { client: MilvusClient; collection: string }, filter: string): Promise<number> {
  const count = await countRows({ client, name: collection }, filter);
  if (count > 0) await asking(() => client.delete({ collection_name: collection, filter }));
  return count;
}
