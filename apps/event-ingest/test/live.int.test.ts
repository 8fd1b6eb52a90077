import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { createRedisStreamsBus } from '@millrace/bus';
import type { EventSubscriber } from '@millrace/bus';
import { interactions, searches } from '@millrace/contracts';
import type { Interaction } from '@millrace/contracts';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { connectRedis } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually, startRedisServer } from '@millrace/testing';
import { createLiveFeed } from '../src/live/live-feed.ts';
import type { LiveClient, LiveFeedOptions } from '../src/live/live-feed.ts';
import { openLive } from '../src/live/open-live.ts';
import { did, searched } from './analytics-kit.ts';

const logger = createLogger('test', 'silent');
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of closing.splice(0).toReversed()) await step();
});

/** Of server-sent events; comments have the event ":". */
function parse(text: string): { event: string; id: string | undefined; data: Record<string, unknown> }[] {
  return text.split('\n\n').filter(Boolean).flatMap((frame) => {
    const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(frame)?.[1];
    if (frame.startsWith(':')) return [{ event: ':', id: undefined, data: {} }];
    const event = field('event');
    return event === undefined ? [] : [{ event, id: field('id'), data: JSON.parse(field('data') ?? '{}') }];
  });
}

/** As main.ts wires it, on a Redis of its own. */
async function startLive({ maxClients = 100, feed = {}, lingerMs = 60_000 }: { readonly maxClients?: number; readonly feed?: LiveFeedOptions; readonly lingerMs?: number } = {}) {
  const redis = await startRedisServer();
  closing.push(() => redis.stop());
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(redis.url, { role, name: 'test' }), logger, blockMs: 50 });
  closing.push(() => bus.close());
  const metrics = createMetrics('test');
  let subscriptions = 0;
  const subscriber: EventSubscriber = {
    subscribe: async (topic, options, handle) => {
      const subscription = await bus.subscribe(topic, options, handle);
      subscriptions += 1;
      return {
        close: async () => {
          await subscription.close();
          subscriptions -= 1;
        },
      };
    },
  };
  const live = openLive({ bus: subscriber, maxClients, isErased: (id) => id === 'erased', metrics, logger, feed, lingerMs });
  const verifier = { verify: async (token: string) => ({ issuer: 'gateway', subject: 'key_1', scopes: token.split(',') }) };
  const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), live.routes] }), { host: '127.0.0.1', port: 0 });
  closing.push(() => server.close(0), () => live.close());
  const follow = async ({ query = '', scopes = 'analytics:read', headers = {} }: { readonly query?: string; readonly scopes?: string; readonly headers?: Readonly<Record<string, string>> } = {}) => {
    const gone = new AbortController();
    closing.push(() => gone.abort());
    const answer = await fetch(`http://127.0.0.1:${server.port}/api/live${query}`, { headers: { authorization: `Bearer ${scopes}`, ...headers }, signal: gone.signal });
    let text = '';
    let isOver = false;
    const read = async (): Promise<void> => {
      const decoder = new TextDecoder();
      for await (const chunk of answer.body ?? []) text += decoder.decode(chunk, { stream: true });
    };
    const reading = read().catch(() => undefined).finally(() => (isOver = true));
    return { answer, frames: () => parse(text), text: () => text, leave: () => gone.abort(), isOver: () => isOver, reading };
  };
  const clients = async (): Promise<number> => (await metrics.getSingleMetric('live_clients')?.get())?.values[0]?.value ?? -1;
  return { bus, live, subscriptions: () => subscriptions, port: server.port, follow, clients, publish: (events: readonly Interaction[]) => bus.publish(interactions, events) };
}

describe('the live feed', () => {
  it('shows events within moments, users as pseudonyms, and ids only to keys that may read contexts', async () => {
    const { follow, publish, bus } = await startLive();
    const masked = await follow();
    const personal = await follow({ scopes: 'analytics:read,events:read' });
    expect([masked.answer.status, masked.answer.headers.get('content-type'), masked.answer.headers.get('cache-control')]).toEqual([200, 'text/event-stream; charset=utf-8', 'no-store']);
    // Reading begins with the first client.
    await eventually(async () => {
      await publish([did('view', { user: 'erased', sku: 'secret' }), did('view', { user: 'alice@example.org', sku: 'lamp' })]);
      return masked.frames().some(({ event }) => event === 'interaction') && personal.frames().some(({ event }) => event === 'interaction');
    });
    await eventually(async () => {
      await bus.publish(searches, [searched(0, { query: 'sofa' })]);
      return masked.frames().some(({ event, data }) => event === 'search' && data['query'] === 'sofa' && data['hits'] === 0);
    });
    const event = masked.frames().find((frame) => frame.event === 'interaction');
    expect(event?.data).toEqual({ type: 'view', sku: 'lamp', category: 'Audio', at: expect.any(String), user: expect.stringMatching(/^u_[\w-]{22}$/) });
    expect(masked.text()).not.toContain('alice');
    expect(personal.text()).not.toContain('secret');
    expect(personal.frames().find((frame) => frame.event === 'interaction')?.data).toMatchObject({ user: 'alice@example.org' });
  });

  it('sends only the types that are asked for, counts each second, and comments', async () => {
    const { follow, publish } = await startLive({ feed: { countsEveryMs: 30, heartbeatEveryMs: 30, perSecond: 100_000 } });
    const buys = await follow({ query: '?types=purchase,add_to_cart' });
    await eventually(async () => {
      await publish([did('view'), did('purchase')]);
      return buys.frames().some(({ event }) => event === 'interaction');
    });
    const counted = await eventually(async () => {
      await publish([did('purchase')]);
      return buys.frames().find(({ event, data }) => event === 'counts' && JSON.stringify(data['last_minute']) !== '{"add_to_cart":0,"purchase":0}');
    });
    expect(counted.data).toMatchObject({ since: expect.any(String), left_out: { purchase: 0, add_to_cart: 0 } });
    expect(buys.frames().filter(({ event, data }) => event === 'interaction' && data['type'] !== 'purchase')).toEqual([]);
    await eventually(() => buys.frames().some(({ event }) => event === ':'));
    const refused = await follow({ query: '?types=sale' });
    expect(refused.answer.status).toBe(400);
    expect((await follow({ scopes: 'events:read' })).answer.status).toBe(403);
  });

  it('goes on after Last-Event-ID, and says so where it cannot', async () => {
    const { follow, publish } = await startLive({ feed: { remembered: 5, perSecond: 100_000 } });
    const first = await follow();
    await eventually(async () => {
      await publish([did('view', { sku: '0' })]);
      return first.frames().some(({ event }) => event === 'interaction');
    });
    for (let n = 1; n <= 3; n += 1) await publish([did('view', { sku: `n${n}` })]);
    await eventually(() => first.frames().some(({ data }) => data['sku'] === 'n3'));
    const id = first.frames().find(({ data }) => data['sku'] === 'n1')?.id ?? '';
    first.leave();
    await publish([did('view', { sku: 'meanwhile' })]);
    const watcher = await follow();
    const skus = async (lastEventId: string) => {
      const client = await follow({ headers: { 'last-event-id': lastEventId } });
      return client;
    };
    const resumed = await skus(id);
    await eventually(() => resumed.frames().filter(({ event }) => event === 'interaction').map(({ data }) => data['sku']).join() === 'n2,n3,meanwhile');
    for (let n = 4; n <= 12; n += 1) await publish([did('view', { sku: `n${n}` })]);
    await eventually(() => watcher.frames().some(({ data }) => data['sku'] === 'n12'));
    for (const forgotten of [id, '00000000-5', 'nonsense', `${id}9999`]) {
      const lost = await skus(forgotten);
      await eventually(() => lost.frames().some(({ event }) => event === 'gap'));
    }
  });

  it('refuses more clients than it may have, and takes one when another leaves', async () => {
    const { follow, clients } = await startLive({ maxClients: 2 });
    const [one] = [await follow(), await follow()];
    const third = await follow();
    expect([third.answer.status, third.answer.headers.get('retry-after')]).toEqual([503, '10']);
    one.leave();
    await eventually(async () => (await clients()) === 1);
    expect((await follow()).answer.status).toBe(200);
  });

  it('ends its clients when the service ends', async () => {
    const { follow, live } = await startLive();
    const client = await follow();
    await live.close();
    await client.reading;
    expect(client.isOver()).toBe(true);
  });

  it('drops a client that does not read, and serves the others', async () => {
    const { follow, publish, port, clients } = await startLive({ feed: { perSecond: 1_000_000, maxWaiting: 2_000_000 } });
    const reader = await follow();
    const deaf = connect(port, '127.0.0.1');
    closing.push(() => deaf.destroy());
    await once(deaf, 'connect');
    deaf.pause();
    deaf.write('GET /api/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer analytics:read\r\n\r\n');
    await eventually(async () => (await clients()) === 2);
    await eventually(async () => {
      await publish(Array.from({ length: 200 }, () => did('view', { sku: 'x'.repeat(2_000) })));
      return (await clients()) === 1;
    });
    await publish([did('purchase', { sku: 'after' })]);
    await eventually(() => reader.text().includes('"after"'));
    expect(reader.isOver()).toBe(false);
  });

  it('reads the topics only while somebody looks, and nobody goes on over the time between', async () => {
    const { follow, publish, subscriptions } = await startLive({ lingerMs: 20 });
    const client = await follow();
    await eventually(async () => {
      await publish([did('view')]);
      return client.frames().some(({ event }) => event === 'interaction');
    });
    client.leave();
    await client.reading;
    await eventually(() => subscriptions() === 0);
    await publish([did('view', { sku: 'between' })]);
    const again = await follow();
    await eventually(async () => {
      await publish([did('view', { sku: 'again' })]);
      return again.text().includes('again');
    });
    const id = client.frames().find(({ event }) => event === 'interaction')?.id ?? '';
    const late = await follow({ headers: { 'last-event-id': id } });
    await eventually(() => late.frames().some(({ event }) => event === 'gap'));
    expect(again.text() + late.text()).not.toContain('between');
  });
});

describe('ten thousand events a second', () => {
  it('are sampled over the second, by type, and the rest is told as a number', async () => {
    const frames: string[] = [];
    const feed = createLiveFeed({ perSecond: 100, countsEveryMs: 20 });
    closing.push(() => feed.close());
    const client: LiveClient = { types: undefined, isPersonal: false, lastEventId: undefined, sink: { write: (text) => void frames.push(text), waiting: () => 0, end: () => undefined } };
    feed.join(client);
    const beganMs = performance.now();
    const views = Array.from({ length: 10_000 }, () => did('view'));
    for (let start = 0; start < views.length; start += 500) feed.show([...views.slice(start, start + 500), ...(start === 5_000 ? [did('purchase', { sku: 'rare' })] : [])]);
    const shown = () => parse(frames.join('')).filter(({ event }) => event === 'interaction');
    expect(shown().length).toBeLessThanOrEqual(100 * (2 + Math.floor((performance.now() - beganMs) / 1_000)));
    expect(shown().some(({ data }) => data['sku'] === 'rare')).toBe(true);
    const counts = await eventually(() => parse(frames.join('')).find(({ event }) => event === 'counts'));
    expect(counts.data).toMatchObject({ last_minute: { view: 10_000, purchase: 1 }, left_out: { view: 10_001 - shown().length, purchase: 0 } });
  });
});
