import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { AppError, createApiKey, createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import type { KeyOwner } from '../src/key.repository.ts';
import { createOpenFeeds } from '../src/keys/open-feeds.ts';
import type { OpenFeeds } from '../src/keys/open-feeds.ts';
import { createUpstream } from '../src/proxy.ts';
import type { Upstream } from '../src/proxy.ts';
import { routeTable } from '../src/route-table.ts';

const feed: Operation = { operationId: 'feed', method: 'get', path: '/api/feed', service: 'svc', scope: 'analytics:read', summary: '', isFeed: true, timeoutMs: 100, responses: {} };
const download: Operation = { operationId: 'download', method: 'get', path: '/api/download', service: 'svc', scope: 'analytics:read', summary: '', isDownload: true, timeoutMs: 1_000, responses: {} };
const key = createApiKey();
const open: ServerResponse[] = [];
const lastEventIds: (string | undefined)[] = [];
let service: Server;
let upstream: Upstream;
let gateway: HttpServer;
let feeds: OpenFeeds;
let state: 'good' | 'away' | 'revoked' | 'without its scope' = 'good';

beforeAll(async () => {
  service = createServer((req, res) => {
    lastEventIds.push(req.headers['last-event-id']?.toString());
    res.writeHead(200, { 'content-type': 'text/event-stream', 'content-disposition': 'attachment; filename="a.csv"', 'x-row-count': '7' });
    res.write(': here\n\n');
    open.push(res);
    res.once('close', () => open.splice(open.indexOf(res), 1));
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const address = service.address();
  upstream = createUpstream('svc', `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`);
  const logger = createLogger('test', 'silent');
  const owner: KeyOwner = { id: 'key_1', scopes: ['analytics:read'], isDevelopment: false, workspaceId: 'default', kind: 'secret' };
  const authenticate = async (): Promise<KeyOwner> => {
    if (state === 'revoked') throw new AppError('unauthenticated', 'revoked');
    if (state === 'away') throw new Error('the database is away');
    return state === 'good' ? owner : { ...owner, scopes: [] };
  };
  feeds = createOpenFeeds({ identify: authenticate, logger, everyMs: 20 });
  const routes = routeTable({
    operations: [feed, download], upstreams: { svc: upstream }, local: {}, logger, signer: { sign: async () => 't' }, audit: async () => undefined,
    authenticate, policies: [feeds.policy],
  });
  gateway = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  feeds.close();
  await gateway.close(0);
  service.closeAllConnections();
  service.close();
});

async function follow(headers: Readonly<Record<string, string>> = {}, path = '/api/feed') {
  const gone = new AbortController();
  const answer = await fetch(`http://127.0.0.1:${gateway.port}${path}`, { headers: { 'x-api-key': key, ...headers }, signal: gone.signal });
  let text = '';
  const read = async (): Promise<void> => {
    for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString();
  };
  return { answer, text: () => text, over: read().then(() => 'ended', () => 'cut'), leave: () => gone.abort() };
}

describe('a download through the gateway', () => {
  it('goes on for longer than its timeout while parts come, with its name and its number of rows', async () => {
    const startMs = performance.now();
    const client = await follow({}, '/api/download');
    expect([client.answer.headers.get('content-disposition'), client.answer.headers.get('x-row-count')]).toEqual(['attachment; filename="a.csv"', '7']);
    let sent = ': here\n\n';
    await eventually(() => {
      open[0]?.write('row\n');
      sent += 'row\n';
      return performance.now() - startMs > 1_500;
    });
    open[0]?.end();
    expect([await client.over, client.text()]).toEqual(['ended', sent]);
  });
  it('breaks off for the caller where the service breaks off, and for the service where the caller goes', async () => {
    const client = await follow({}, '/api/download');
    await eventually(() => client.text() === ': here\n\n');
    open[0]?.destroy();
    expect(await client.over).toBe('cut');
    const other = await follow({}, '/api/download');
    await eventually(() => open.length === 1);
    other.leave();
    await eventually(() => open.length === 0);
  });
});

describe('a feed through the gateway', () => {
  it('is passed on part by part, longer than any timeout, with Last-Event-ID', async () => {
    const startMs = performance.now();
    const client = await follow({ 'last-event-id': 'abc-7' });
    expect([client.answer.status, client.answer.headers.get('content-type'), lastEventIds.at(-1)]).toEqual([200, 'text/event-stream; charset=utf-8', 'abc-7']);
    await eventually(() => client.text() === ': here\n\n');
    await eventually(() => performance.now() - startMs > 300);
    open[0]?.write('data: 1\n\n');
    await eventually(() => client.text() === ': here\n\ndata: 1\n\n');
    client.leave();
    await eventually(() => open.length === 0);
  });
  it('ends with its key: at once where its change is heard of, else soon; not while the database is away', async () => {
    const heard = await follow();
    feeds.forget(new Set(['key_2']));
    state = 'away';
    await eventually(() => heard.text() === ': here\n\n');
    expect(open).toHaveLength(1);
    feeds.forget(new Set(['key_1']));
    expect(await heard.over).toBe('cut');
    for (const end of ['revoked', 'without its scope'] as const) {
      state = 'good';
      const client = await follow();
      state = end;
      expect(await client.over).toBe('cut');
    }
    state = 'good';
    await eventually(() => open.length === 0);
  });
  it('ends when the service ends it, and when the gateway stops', async () => {
    const client = await follow();
    await eventually(() => open.length === 1);
    open[0]?.end();
    expect(await client.over).toBe('ended');
    const other = await follow();
    await eventually(() => open.length === 1);
    upstream.endFeeds();
    expect(['ended', 'cut']).toContain(await other.over);
    await eventually(() => open.length === 0);
    expect((await follow()).answer.status).toBe(200);
    await upstream.close();
    await eventually(() => open.length === 0);
  });
});
