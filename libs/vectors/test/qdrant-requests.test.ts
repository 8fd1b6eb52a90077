import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CollectionDroppedError, InvalidVectorError, openQdrantVectorAdmin, openQdrantVectorReader, VectorsUnavailableError } from '../src/index.ts';
import { modelPointId, pointId } from '../src/qdrant/points.ts';
import { dimensions, payload, record, toList, unit } from '../src/testing/records.ts';

interface Seen { readonly route: string; readonly headers: IncomingHttpHeaders; readonly body: unknown }
type Reply = (route: string) => { status?: number; result?: unknown } | 'never';

const modelPoint = { id: 'm', version: 0, payload: { model_id: 'first', dimensions, document: '{}' } };

/** Not Qdrant: it answers what it is told and shows what was sent. What Qdrant makes of it is shown by the contract suite, where one runs. */
describe('requests sent to Qdrant', () => {
  let server: Server;
  let url: string;
  let seen: Seen[];
  let reply: Reply;

  beforeEach(async () => {
    seen = [];
    reply = (route) => ({ result: route === 'POST /collections/products/points' || route === 'POST /collections/products-1/points' ? [modelPoint] : { status: 'completed', points: [] } });
    server = createServer((req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk: Buffer) => chunks.push(chunk));
      req.on('end', () => {
        const route = `${req.method} ${req.url?.split('?')[0]}`;
        const text = Buffer.concat(chunks).toString('utf8');
        seen.push({ route, headers: req.headers, body: text === '' ? undefined : JSON.parse(text) });
        const answer = reply(route);
        if (answer === 'never') return;
        res.writeHead(answer.status ?? 200, { 'content-type': 'application/json' }).end(JSON.stringify({ result: answer.result ?? null, status: 'ok', time: 0 }));
      });
    });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const reader = (timeoutMs = 2_000) => openQdrantVectorReader({ url, alias: 'products', timeoutMs });
  const writer = async () => (await openQdrantVectorAdmin({ url, alias: 'products' })).openWriter('products-1');
  const sent = (route: string): Seen[] => seen.filter((request) => request.route === route);
  const olderThan = (version: number) => ({ key: 'version', range: { lt: version } });

  it('ask for uncompressed answers', async () => {
    await (await reader()).model();
    expect(seen.every(({ headers }) => headers['accept-encoding'] === 'identity')).toBe(true);
    expect(seen).not.toHaveLength(0);
  });

  it('search by the query interface, with category, brand, tombstones and exclusions in the filter', async () => {
    await (await reader()).nearest(unit([1]), { limit: 7, category: 'Audio', brand: 'B', excludeSkus: ['a'] });
    expect(sent('POST /collections/products/points/query')[0]?.body).toEqual({
      query: [...unit([1])],
      using: 'text',
      limit: 7,
      with_payload: true,
      with_vector: false,
      filter: {
        must: [{ key: 'category', match: { value: 'Audio' } }, { key: 'brand', match: { value: 'B' } }],
        must_not: [{ key: 'deleted', match: { value: true } }, { has_id: [pointId('a')] }],
      },
    });
  });

  it('guard each record of a batch by its own version, and wait until it is applied', async () => {
    await (await writer()).upsert([record('a', 3, [1]), record('b', 9)]);
    const body = sent('POST /collections/products-1/points/batch')[0]?.body;
    expect(body).toEqual({
      operations: [
        { upsert: { points: [{ id: pointId('a'), vector: { text: [...unit([1])] }, payload: expect.objectContaining({ sku: 'a', version: 3, deleted: false }) }], update_filter: { must: [olderThan(3)] } } },
        { upsert: { points: [{ id: pointId('b'), vector: {}, payload: expect.objectContaining({ sku: 'b', version: 9 }) }], update_filter: { must: [olderThan(9)] } } },
      ],
    });
  });

  it('leave a tombstone with the version, and take the vector only from an older point', async () => {
    await (await writer()).remove([{ sku: 'a', version: 4 }]);
    const filter = { must: [{ has_id: [pointId('a')] }, olderThan(4)] };
    const tombstone = { version: 4, deleted: true, deleted_at: expect.any(Number) };
    expect(sent('POST /collections/products-1/points/batch')[0]?.body).toEqual({
      operations: [
        { upsert: { points: [{ id: pointId('a'), vector: {}, payload: { sku: 'a', ...tombstone } }], update_mode: 'insert_only' } },
        { delete_vectors: { vector: ['text'], filter } },
        { set_payload: { payload: tombstone, filter } },
      ],
    });
  });

  it('change a payload only of an older point of the same text that is not a tombstone', async () => {
    await (await writer()).updatePayload([{ sku: 'a', version: 4, textHash: 'h', payload: payload('a') }]);
    const filter = { must: [{ has_id: [pointId('a')] }, olderThan(4), { key: 'text_hash', match: { value: 'h' } }], must_not: [{ key: 'deleted', match: { value: true } }] };
    expect(sent('POST /collections/products-1/points/batch')[0]?.body).toEqual({ operations: [{ set_payload: { payload: { ...payload('a'), version: 4 }, filter } }] });
  });

  it('make a collection with as many shards and copies as are asked for', async () => {
    reply = (route) => ({ result: route === 'GET /collections' ? { collections: [] } : { status: 'completed' } });
    await (await openQdrantVectorAdmin({ url, alias: 'products', shards: 3, replicationFactor: 2, writeConsistencyFactor: 1 })).createCollection({ id: 'm', dimensions: 4, document: '{}' });
    expect(sent('PUT /collections/products-1')[0]?.body).toEqual({ vectors: { text: { size: 4, distance: 'Cosine' } }, shard_number: 3, replication_factor: 2, write_consistency_factor: 1 });
  });

  it('swap the alias in one request', async () => {
    reply = (route) => ({ result: route === 'GET /aliases' ? { aliases: [{ alias_name: 'products', collection_name: 'products-1' }] } : route.endsWith('/points') ? [modelPoint] : true });
    await (await openQdrantVectorAdmin({ url, alias: 'products' })).swapTo('products-2');
    expect(sent('POST /collections/aliases')[0]?.body).toEqual({
      actions: [{ delete_alias: { alias_name: 'products' } }, { create_alias: { alias_name: 'products', collection_name: 'products-2' } }],
    });
  });

  it('read versions page by page, without vectors, tombstones and the model, and choose the ranges here', async () => {
    const pages = [{ points: ['a', 'b'].map((sku, at) => ({ id: sku, payload: { sku, version: at + 1 } })), next_page_offset: 'after b' }, { points: [{ id: 'c', payload: { sku: 'c', version: 3 } }], next_page_offset: null }];
    reply = (route) => ({ result: route.endsWith('/scroll') ? pages.shift() : [modelPoint] });
    const admin = await openQdrantVectorAdmin({ url, alias: 'products' });
    expect(await toList(admin.readVersions('products-1', [{ from: 'b' }]))).toEqual([[{ sku: 'b', version: 2, deleted: false }], [{ sku: 'c', version: 3, deleted: false }]]);
    const asked = { limit: 1_000, with_payload: ['sku', 'version'], with_vector: false, filter: { must_not: [{ key: 'deleted', match: { value: true } }, { has_id: [modelPointId] }] } };
    expect(sent('POST /collections/products-1/points/scroll').map(({ body }) => body)).toEqual([asked, { ...asked, offset: 'after b' }]);
  });

  it('go to the named collection where a reader of one is opened', async () => {
    const named = await (await openQdrantVectorAdmin({ url, alias: 'products' })).openReader('products-1');
    await named.nearest(unit([1]), { limit: 1, excludeSkus: [] });
    expect(sent('POST /collections/products-1/points/query')).toHaveLength(1);
  });

  it('are not sent for vectors that Qdrant would accept and must not: zero, or of another length', async () => {
    const opened = await writer();
    const before = seen.length;
    await expect(opened.upsert([{ ...record('a', 1), vector: new Float32Array(dimensions) }])).rejects.toThrow(InvalidVectorError);
    await expect(opened.upsert([{ ...record('a', 1), vector: Float32Array.of(1) }])).rejects.toThrow(InvalidVectorError);
    expect(seen).toHaveLength(before);
  });

  it('fail by class: no alias, a dropped collection, a broken server, silence, nobody there', async () => {
    const opened = await writer();
    reply = () => ({ status: 404 });
    expect(await (await reader()).model()).toBeUndefined();
    await expect((await reader()).get('a')).rejects.toThrow(VectorsUnavailableError);
    await expect(opened.upsert([record('a', 1, [1])])).rejects.toThrow(CollectionDroppedError);
    reply = () => ({ status: 500 });
    await expect((await reader()).model()).rejects.toThrow(VectorsUnavailableError);
    reply = () => 'never';
    await expect((await reader(50)).get('a')).rejects.toThrow(VectorsUnavailableError);
    const nobody = await openQdrantVectorReader({ url: 'http://127.0.0.1:1', alias: 'products' });
    await expect(nobody.get('a')).rejects.toThrow(VectorsUnavailableError);
  });
});

describe("a sku's point id", () => {
  it('is a UUID of version 5, the same everywhere and for ever', () => {
    // As Python's uuid.uuid5 computes it under the same namespace.
    expect(pointId('Ü MR-0001')).toBe('ee36c44b-9eed-5b66-8466-8e6bc5a06971');
    expect(pointId('mr-0001')).not.toBe(pointId('MR-0001'));
  });
});
