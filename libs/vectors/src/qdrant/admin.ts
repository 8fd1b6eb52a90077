import type { QdrantClient, Schemas } from '@qdrant/js-client-rest';
import { VectorsUnavailableError } from '../errors.ts';
import type { VectorAdmin, VectorModel } from '../ports.ts';
import { asking, connectQdrant, statusOf, type QdrantOptions } from './client.ts';
import { modelPointId, modelPointSchema, payloadIndexes, toModel, vectorName } from './points.ts';
import { createQdrantReader } from './reader.ts';
import { readVersions } from './versions.ts';
import { createQdrantWriter } from './writer.ts';

const dayMs = 86_400_000;

/** Collections `<alias>-<n>` behind one alias; each holds its model in a point of its own. */
export async function openQdrantVectorAdmin(options: QdrantOptions): Promise<VectorAdmin> {
  const client = connectQdrant(options, 30_000);
  const { alias } = options;

  const liveCollection = async (): Promise<string | undefined> => {
    const { aliases } = await asking(() => client.getAliases());
    return aliases.find((entry) => entry.alias_name === alias)?.collection_name;
  };
  const modelOf = (collection: string): Promise<VectorModel> => asking(() => readModel(client, collection));

  return {
    liveCollection,
    modelOf,
    createCollection: (model) => asking(() => createNext(client, options, model)),
    async openWriter(collection) {
      const { dimensions } = await modelOf(collection);
      // Collections of earlier releases lack it, and a server in strict mode filters by indexed fields only. Does nothing where it is there.
      await asking(() => client.createPayloadIndex(collection, { field_name: 'text_hash', field_schema: payloadIndexes.text_hash, wait: true }));
      return createQdrantWriter(client, { collection, dimensions });
    },
    async swapTo(collection) {
      // Reading the model proves that the collection is complete.
      await modelOf(collection);
      const create = { create_alias: { alias_name: alias, collection_name: collection } };
      const actions = (await liveCollection()) === undefined ? [create] : [{ delete_alias: { alias_name: alias } }, create];
      await asking(() => client.updateCollectionAliases({ actions }));
    },
    async dropCollection(collection) {
      if (collection !== (await liveCollection())) await asking(() => client.deleteCollection(collection));
    },
    async dropOthers(keep) {
      const kept = new Set([...keep, await liveCollection()]);
      for (const collection of await asking(() => listCollections(client, alias))) {
        if (!kept.has(collection)) await asking(() => client.deleteCollection(collection));
      }
    },
    count: async (collection) => (await asking(() => client.count(collection, { filter: { must: [{ has_vector: vectorName }] }, exact: true }))).count,
    readVersions: (collection, ranges, signal) => readVersions(client, { collection, ranges, signal }),
    async openReader(collection) {
      await modelOf(collection);
      return createQdrantReader(connectQdrant(options, 2_000), collection);
    },
    async purgeTombstones(olderThanDays) {
      const filter = { must: [{ key: 'deleted', match: { value: true } }, { key: 'deleted_at', range: { lte: Date.now() - olderThanDays * dayMs } }] };
      let purged = 0;
      for (const collection of await asking(() => listCollections(client, alias))) purged += await asking(() => purge(client, collection, filter));
      return purged;
    },
    ping: async () => void (await asking(() => client.getCollections())),
    close: async () => undefined,
  };
}

async function listCollections(client: QdrantClient, alias: string): Promise<string[]> {
  const { collections } = await client.getCollections();
  return collections.map(({ name }) => name).filter((name) => numberOf(name, alias) !== undefined);
}

/** The n of `<alias>-<n>`; undefined for a collection that is not ours. */
function numberOf(name: string, alias: string): number | undefined {
  const rest = name.startsWith(`${alias}-`) ? name.slice(alias.length + 1) : '';
  return /^\d+$/.test(rest) ? Number(rest) : undefined;
}

async function createNext(client: QdrantClient, { alias, shards, replicationFactor, writeConsistencyFactor }: QdrantOptions, model: VectorModel): Promise<string> {
  const numbers = (await listCollections(client, alias)).map((name) => numberOf(name, alias) ?? 0);
  for (let number = Math.max(0, ...numbers) + 1; ; number++) {
    const collection = `${alias}-${number}`;
    try {
      await client.createCollection(collection, {
        vectors: { [vectorName]: { size: model.dimensions, distance: 'Cosine' } },
        ...(shards !== undefined && { shard_number: shards }),
        ...(replicationFactor !== undefined && { replication_factor: replicationFactor }),
        ...(writeConsistencyFactor !== undefined && { write_consistency_factor: writeConsistencyFactor }),
      });
    } catch (error) {
      // Another process took the number.
      if (statusOf(error) === 409) continue;
      throw error;
    }
    for (const [field, schema] of Object.entries(payloadIndexes)) await client.createPayloadIndex(collection, { field_name: field, field_schema: schema, wait: true });
    // Last, so that a collection with a model is complete.
    await client.upsert(collection, { wait: true, points: [{ id: modelPointId, vector: {}, payload: { model_id: model.id, dimensions: model.dimensions, document: model.document } }] });
    return collection;
  }
}

async function readModel(client: QdrantClient, collection: string): Promise<VectorModel> {
  const [point] = await client.retrieve(collection, { ids: [modelPointId], with_payload: true, with_vector: false });
  if (point === undefined) throw new VectorsUnavailableError(`the vector collection ${collection} has no model`);
  return toModel(modelPointSchema.parse(point.payload));
}

async function purge(client: QdrantClient, collection: string, filter: Schemas['Filter']): Promise<number> {
  const { count } = await client.count(collection, { filter, exact: true });
  if (count > 0) await client.delete(collection, { wait: true, filter });
  return count;
}
