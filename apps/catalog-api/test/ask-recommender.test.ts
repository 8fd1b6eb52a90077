import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { Registry } from 'prom-client';
import { createAskRecommender } from '../src/ask-recommender.ts';

const servers: { readonly server: Server; readonly sockets: Set<Socket> }[] = [];
afterEach(() => {
  for (const { server, sockets } of servers.splice(0)) {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
});

async function listen(handle: RequestListener): Promise<string> {
  const server = createServer(handle).listen(0, '127.0.0.1');
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  servers.push({ server, sockets });
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
}
const ask = (baseUrl: string, budgetMs = 30) => createAskRecommender({ baseUrl, budgetMs, metrics: new Registry(), signer: { sign: async (audience, { subject }) => `${subject} at ${audience}` } });
const items = [{ sku: 'a', score: 1 }, { sku: 'b', score: 0.5 }];
const rankingId = '018f2f4e-7c7a-7cc0-9a41-0d7d1b3a5f10';
const answered = (over: object = {}): RequestListener => (_req, res) => void res.end(JSON.stringify({ ranking_id: rankingId, data: ['b', 'a'], context: 'live', ...over }));

describe('asking the recommender', () => {
  it('gives its order, under the identity of catalog-api', async () => {
    let authorization: string | undefined;
    const url = await listen((req, res) => {
      authorization = req.headers.authorization;
      answered()(req, res);
    });
    expect(await ask(url, 2_000)('u', items)).toEqual({ skus: ['b', 'a'], rankingId });
    expect(authorization).toBe('Bearer catalog-api at recommender');
  });
  it.each<[string, RequestListener, string]>([
    ['answers nothing', () => undefined, 'timeout'],
    ['answers only a head', (_req, res) => res.writeHead(200).flushHeaders(), 'timeout'],
    ['answers 500', (_req, res) => void res.writeHead(500).end('{}'), 'unavailable'],
    ['answers something else', (_req, res) => void res.end('<html>'), 'unavailable'],
    ['breaks the connection', (req) => void req.socket.destroy(), 'unavailable'],
    ['knows nothing of users now', answered({ context: 'unavailable' }), 'unavailable'],
  ])('says so in time where it %s', async (_name, handle, reason) => {
    // Only the budget says `timeout`: that answer never ends. And it says it of whatever has not ended before.
    const rerank = ask(await listen(handle), reason === 'timeout' ? 30 : 2_000);
    expect(await rerank('u', items)).toEqual({ reason });
  });
  it('leaves a recommender that failed five times in a row alone, and asks again after a second', async () => {
    let isDown = true;
    let calls = 0;
    const rerank = ask(await listen((req, res) => {
      calls += 1;
      if (isDown) req.socket.destroy();
      else answered()(req, res);
    }), 2_000);
    for (let n = 0; n < 20; n += 1) expect(await rerank('u', items)).toEqual({ reason: 'unavailable' });
    expect(calls).toBe(5);
    isDown = false;
    await eventually(async () => 'skus' in (await rerank('u', items)));
    expect(calls).toBe(6);
  });
});
