import type { SkuRange, StoredVersion } from '@millrace/contracts';
import { createRedisWriterLock, skuFilter, UnsupportedVectorServerError, VectorsUnavailableError } from '@millrace/vectors';
import type { VectorAdmin, VectorModel, WriterLock } from '@millrace/vectors';
import type { Index } from '@pinecone-database/pinecone';
import { asking, connectPinecone, type PineconeOptions } from './client.ts';
import { createControl, fetchAll, listIds, type Control } from './control.ts';
import { spacesOf, toStoredRow } from './records.ts';
import { createPineconeReader } from './reader.ts';
import { createPineconeWriter } from './writer.ts';

const dayMs = 86_400_000;
const defaultFreshMs = 15_000;
const requestMs = 30_000;

/** Collections as namespaces of one index, and a namespace that says which is live. `lockUrl` is required. */
export async function openPineconeVectorAdmin(options: PineconeOptions): Promise<VectorAdmin> {
  const { lockUrl, namespace, freshMs = defaultFreshMs } = options;
  if (lockUrl === undefined) throw new Error('an administrator of Pinecone needs lockUrl: the Redis of its writers lease');
  const index = connectPinecone(options, requestMs);
  const during = (lease: AbortSignal): Index => connectPinecone(options, requestMs, lease);
  const lock = createRedisWriterLock({ url: lockUrl, prefix: 'vectors:pinecone', ttlMs: 2 * freshMs, waitMs: 4 * freshMs });
  const control = createControl(index, { namespace, freshMs });
  const deps = { index, during, control, lock };
  const headOf = async (collection: string) => {
    const head = await control.head(collection);
    if (head === undefined) throw new VectorsUnavailableError(`the vector collection ${collection} does not exist`);
    return head;
  };
  const drop = async (collection: string): Promise<void> => {
    if (collection !== (await control.live())) await dropCollection(deps, collection);
  };
  return {
    liveCollection: () => control.live(),
    modelOf: (collection) => control.model(collection),
    createCollection: (model) => createNext(deps, namespace, model),
    openWriter: async (collection) => createPineconeWriter({ ...deps, collection, freshMs, dimensions: (await headOf(collection)).dimensions }),
    swapTo: async (collection) => control.setLive(collection, (await headOf(collection)).dimensions),
    dropCollection: drop,
    async dropOthers(keep) {
      const kept = new Set([...keep, await control.live()]);
      for (const collection of await control.list()) if (!kept.has(collection)) await drop(collection);
    },
    async count(collection) {
      await headOf(collection);
      const { namespaces } = await asking(() => index.describeIndexStats());
      return namespaces?.[spacesOf(collection).found]?.recordCount ?? 0;
    },
    async *readVersions(collection, ranges, signal) {
      await headOf(collection);
      yield* readVersions(index, collection, { ranges, signal });
    },
    async openReader(collection) {
      await headOf(collection);
      const reading = connectPinecone(options, 2_000);
      return createPineconeReader({ index: reading, control: createControl(reading, { namespace, freshMs }), current: async () => collection });
    },
    async purgeTombstones(olderThanDays) {
      let purged = 0;
      for (const collection of await control.list()) purged += await lock.hold(collection, ({ signal }) => purge(during(signal), collection, Date.now() - olderThanDays * dayMs));
      return purged;
    },
    ping: async () => void (await asking(() => index.describeIndexStats())),
    close: () => lock.close(),
  };
}

interface Deps { readonly index: Index; readonly during: (lease: AbortSignal) => Index; readonly control: Control; readonly lock: WriterLock }

/** Named by the lease's fencing number: no name is ever taken twice. */
const createNext = ({ index, control, lock }: Deps, namespace: string, model: VectorModel): Promise<string> =>
  lock.hold(namespace, async ({ fencingNumber }) => {
    const { dimension } = await asking(() => index.describeIndexStats());
    if (dimension !== undefined && dimension !== model.dimensions) {
      throw new UnsupportedVectorServerError(`the Pinecone index has ${dimension} dimensions, the vectors ${model.dimensions}: an index has one number, so set VECTOR_DIMENSION to ${dimension} or PINECONE_INDEX to an index of ${model.dimensions}`);
    }
    const collection = `${namespace}-${fencingNumber}`;
    await control.add(collection, model);
    return collection;
  });

/** Out of the list first: a drop that is cut short leaves records that nobody reads. */
async function dropCollection({ index, control, lock }: Deps, collection: string): Promise<void> {
  await lock.hold(collection, async () => {
    await control.remove(collection);
    for (const space of Object.values(spacesOf(collection))) {
      // 404: nothing was ever written there.
      await index.deleteAll({ namespace: space }).catch((error: unknown) => {
        if (!(error instanceof Error) || error.name !== 'PineconeNotFoundError') throw new VectorsUnavailableError('Pinecone did not drop the namespace', { cause: error });
      });
    }
  });
}

/** All ids, then what is behind them: Pinecone gives no metadata without its vector. Ranges are chosen here. */
async function* readVersions(index: Index, collection: string, { ranges, signal }: { readonly ranges: readonly SkuRange[] | undefined; readonly signal: AbortSignal | undefined }): AsyncIterable<readonly StoredVersion[]> {
  const isWanted = skuFilter(ranges);
  const { found, rest } = spacesOf(collection);
  for (const space of [found, rest]) {
    for await (const ids of listIds(index, space)) {
      signal?.throwIfAborted();
      const records = [...(await fetchAll(index, space, ids)).values()];
      const page = records.map((record) => toStoredRow(record, { hasVector: false })).filter((row) => !row.deleted && isWanted(row.sku)).map(({ sku, version }) => ({ sku, version, deleted: false }));
      if (page.length > 0) yield page;
    }
  }
  signal?.throwIfAborted();
}

async function purge(index: Index, collection: string, untilMs: number): Promise<number> {
  const { rest } = spacesOf(collection);
  let purged = 0;
  const old: string[] = [];
  for await (const ids of listIds(index, rest)) {
    for (const [id, record] of await fetchAll(index, rest, ids)) {
      const row = toStoredRow(record, { hasVector: false });
      if (row.deleted && row.deletedAtMs <= untilMs) old.push(id);
    }
  }
  for (let start = 0; start < old.length; start += 1_000) {
    const ids = old.slice(start, start + 1_000);
    await asking(() => index.deleteMany({ namespace: rest, ids }));
    purged += ids.length;
  }
  return purged;
}
