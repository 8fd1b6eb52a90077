import { VectorsUnavailableError } from '@millrace/vectors';
import type { VectorModel } from '@millrace/vectors';
import type { Index, PineconeRecord } from '@pinecone-database/pinecone';
import { z } from 'zod';
import { asking } from './client.ts';
import { collectionId, liveId, modelRecords, partIds, placeholder, toHead, type ModelHead } from './records.ts';
import { untilSeen } from './until-seen.ts';

/** Ids of one request: they travel in its address. */
const idsPerFetch = 90;

/** What is there under these ids, by id. */
export async function fetchAll(index: Index, namespace: string, ids: readonly string[]): Promise<Map<string, PineconeRecord>> {
  const found = new Map<string, PineconeRecord>();
  for (let start = 0; start < ids.length; start += idsPerFetch) {
    const { records } = await asking(() => index.fetch({ ids: ids.slice(start, start + idsPerFetch), namespace }));
    for (const [id, record] of Object.entries(records)) found.set(id, record);
  }
  return found;
}

export interface Control {
  live(): Promise<string | undefined>;
  setLive(collection: string, dimensions: number): Promise<void>;
  /** undefined: there is no such collection. */
  head(collection: string): Promise<ModelHead | undefined>;
  /** @throws VectorsUnavailableError where there is none */
  model(collection: string): Promise<VectorModel>;
  add(collection: string, model: VectorModel): Promise<void>;
  remove(collection: string): Promise<void>;
  list(): Promise<string[]>;
}

/** Which collections there are, their models, and which one is live: records of a namespace of its own. */
export function createControl(index: Index, { namespace, freshMs }: { readonly namespace: string; readonly freshMs: number }): Control {
  const space = `${namespace}-control`;
  const read = async (id: string): Promise<PineconeRecord | undefined> => (await fetchAll(index, space, [id])).get(id);
  const head: Control['head'] = async (collection) => {
    const record = await read(collectionId(collection));
    return record && toHead(record.metadata);
  };
  const live: Control['live'] = async () => {
    const record = await read(liveId);
    return record && z.object({ collection: z.string() }).parse(record.metadata).collection;
  };
  return {
    head,
    live,
    async setLive(collection, dimensions) {
      await asking(() => index.upsert({ namespace: space, records: [{ id: liveId, values: placeholder(dimensions), metadata: { collection } }] }));
      await untilSeen(async () => (await live()) === collection, { what: 'the swap', freshMs });
    },
    async model(collection) {
      const found = await head(collection);
      if (found === undefined) throw new VectorsUnavailableError(`the vector collection ${collection} does not exist`);
      const ids = partIds(collection, found.parts);
      const parts = await fetchAll(index, space, ids);
      const document = Buffer.concat(ids.map((id) => Buffer.from(z.object({ part: z.string() }).parse(parts.get(id)?.metadata).part, 'base64'))).toString('utf8');
      return { id: found.model_id, dimensions: found.dimensions, document };
    },
    async add(collection, model) {
      for (const record of modelRecords(collection, model)) await asking(() => index.upsert({ namespace: space, records: [record] }));
      await untilSeen(async () => (await head(collection)) !== undefined, { what: 'the new collection', freshMs });
    },
    async remove(collection) {
      const found = await head(collection);
      if (found === undefined) return;
      await asking(() => index.deleteMany({ namespace: space, ids: [collectionId(collection), ...partIds(collection, found.parts)] }));
    },
    async list() {
      const names: string[] = [];
      for await (const ids of listIds(index, space, collectionId(''))) names.push(...ids.map((id) => id.slice(collectionId('').length)));
      return names;
    },
  };
}

/** Ids of a namespace, page by page. */
export async function* listIds(index: Index, namespace: string, prefix?: string): AsyncIterable<readonly string[]> {
  let paginationToken: string | undefined;
  do {
    const page = await asking(() => index.listPaginated({ namespace, limit: 100, ...(prefix !== undefined && { prefix }), ...(paginationToken !== undefined && { paginationToken }) }));
    yield (page.vectors ?? []).flatMap(({ id }) => (id === undefined ? [] : [id]));
    paginationToken = page.pagination?.next;
  } while (paginationToken !== undefined && paginationToken !== '');
}
