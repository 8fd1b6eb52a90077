import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FinalError, createRedisBusAdmin, createRedisStreamsBus, defineTopic } from '@millrace/bus';
import { ProblemError, createClient } from '@millrace/client/contract';
import type { Client } from '@millrace/client/contract';
import { deadLetterOperations, discardDeadLetters, dropGroup, editDeadLetter, getDeadLetter, listDeadLetters, listStreams, repartitionTopic, replayDeadLetters, streamOperations } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { closeRedis, connectRedis, createKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually, testServer, uniqueName } from '@millrace/testing';
import { z } from 'zod';
import { createBusAccess, pingRedis } from '../src/bus-access.ts';
import type { BusAccess } from '../src/bus-access.ts';
import { routeTable } from '../src/route-table.ts';
import { deadLetterRoutes, streamRoutes } from '../src/streams.routes.ts';

const topic = defineTopic(uniqueName('orders'), { placed: z.object({ order: z.string(), price: z.number() }) }, { schemaVersion: 1, keyOf: ({ order }) => order });
const url = testServer('redis');
const logger = createLogger('test', 'silent');
const redis = connectRedis(url, { role: 'background', name: 'gateway test' });
const away = connectRedis('redis://127.0.0.1:1', { role: 'background', name: 'gateway test' });
const bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'gateway test' }), blockMs: 20, retryBaseMs: 5 });
const servers: HttpServer[] = [];
/** Pieces of work that were let through to Redis. */
let begun = 0;
let client: Client;
let clientOfNone: Client;

async function serve(connection: Redis): Promise<Client> {
  const open = createBusAccess({ admin: createRedisBusAdmin({ redis: connection, keys: createKeys(), topics: [topic] }), ping: () => pingRedis(connection) });
  const access: BusAccess = (given, work) => open(given, (admin) => {
    begun += 1;
    return work(admin);
  });
  const routes = routeTable({
    operations: [...streamOperations, ...deadLetterOperations], upstreams: {}, local: { ...streamRoutes(access), ...deadLetterRoutes(access) }, logger,
    authenticate: async () => ({ id: 'key_ops', scopes: ['ops'], isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }), signer: { sign: async () => '' }, audit: async () => undefined,
  });
  const server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
  servers.push(server);
  return createClient({ baseUrl: `http://127.0.0.1:${server.port}`, apiKey: 'mr_test' });
}

beforeAll(async () => {
  client = await serve(redis);
  clientOfNone = await serve(away);
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close(0)));
  await bus.close();
  const left = await redis.keys(`${topic.name}*`);
  if (left.length > 0) await redis.unlink(...left);
  await Promise.all([closeRedis(redis), closeRedis(away)]);
});

describe('the tools of the bus over HTTP', () => {
  it('show what is parked, mend and replay it, and drop the group that is no longer read', async () => {
    const handled: [string, number][] = [];
    const handle = async (events: readonly { order: string; price: number }[]): Promise<void> => {
      if (events.some(({ price }) => price < 0)) throw new FinalError('the price is negative');
      handled.push(...events.map(({ order, price }): [string, number] => [order, price]));
    };
    await bus.publish(topic, [{ type: 'placed', order: 'o1', price: 5 }, { type: 'placed', order: 'o2', price: -1 }, { type: 'placed', order: 'o3', price: -2 }]);
    const subscription = await bus.subscribe(topic, { group: 'billing', batchSize: 10 }, handle);
    const parked = await eventually(async () => {
      const { body } = await client.call(listDeadLetters, { query: { topic: topic.name, reason: 'NEGATIVE' } });
      return body.data.length === 2 && body.data;
    });
    expect(parked.map(({ key, group }) => [key, group])).toEqual([['o2', 'billing'], ['o3', 'billing']]);

    const id = parked[0]?.id ?? '';
    expect((await client.call(getDeadLetter, { params: { id } })).body.fields['data']).toContain('-1');
    const failed = await client.call(editDeadLetter, { params: { id }, body: { data: { order: 'o2', price: 'free' } } }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ problem: { status: 400, code: 'invalid_request', pointer: '/data' } });
    const edited = (await client.call(editDeadLetter, { params: { id }, body: { data: { order: 'o2', price: 7 } } })).body;
    await expect(client.call(getDeadLetter, { params: { id } })).rejects.toThrow(ProblemError);
    expect((await client.call(replayDeadLetters, { body: { ids: [edited.id, id] } })).body).toEqual({ count: 1, missing: [id], dry_run: false });
    await eventually(() => handled.some(([order, price]) => order === 'o2' && price === 7));

    expect((await client.call(discardDeadLetters, { body: { filter: { key: 'o3' }, dry_run: true } })).body).toEqual({ count: 1, missing: [], dry_run: true });
    expect((await client.call(discardDeadLetters, { body: { filter: { key: 'o3' } } })).body).toEqual({ count: 1, missing: [], dry_run: false });

    const streams = (await client.call(listStreams)).body.topics[0]?.streams;
    expect(streams?.[0]?.groups[0]).toMatchObject({ group: 'billing', dead_letters: 0, unread: 0 });
    await expect(client.call(dropGroup, { params: { group: 'billing' } })).rejects.toMatchObject({ problem: { code: 'conflict', status: 409 } });
    await subscription.close();
    expect((await client.call(dropGroup, { params: { group: 'billing' }, query: { force: true } })).body.dropped).toMatchObject([{ topic: topic.name, group: 'billing' }]);
    expect((await client.call(repartitionTopic, { params: { topic: topic.name }, body: { partitions: 2 } })).body.partitions).toBe(2);
  });

  it('answer 503 while Redis is away as soon as a ping has failed, and begin nothing', async () => {
    const before = begun;
    await expect(clientOfNone.call(listStreams)).rejects.toMatchObject({ problem: { status: 503, code: 'unavailable' } });
    expect(begun).toBe(before);
    await client.call(listStreams);
    expect(begun).toBe(before + 1);
  });
});
