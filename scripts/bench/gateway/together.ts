import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRedisStreamsBus, silentLogger } from '@millrace/bus';
import type { RedisStreamsBus } from '@millrace/bus';
import { productUpdates } from '@millrace/contracts';
import { connectRedis, keysFor } from '@millrace/redis-kit';
import { eventually } from '@millrace/testing/eventually';
import { Registry } from 'prom-client';
import { Pool } from 'undici';
import { openRequests } from '../events/load.ts';
import { median, percentile, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import type { Place, RunningGateway } from './place.ts';
import { product, productBody } from './product.ts';

const GATEWAYS = 4;
const CALLERS = 1_000;
const RACES = 1_000;
const USER_PER_MINUTE = 3_000;
const SECONDS = 10;

interface Asked { readonly status: number; readonly version: number }

/** The service behind all gateways, in this process: every product is at `version`, and every answer takes `pauseMs`. */
async function startOrigin() {
  const state = { version: 1, calls: 0, pauseMs: 0, onAsked: (): void => undefined };
  const server = createServer((req, res) => {
    state.calls += 1;
    const body = productBody((req.url ?? '').split('/').at(-1) ?? '', state.version);
    const etag = `"${state.version}.${state.version}"`;
    state.onAsked();
    const send = (): void => void res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), etag }).end(body);
    // What was so when it was asked for, sooner or later.
    if (state.pauseMs > 0) setTimeout(send, state.pauseMs);
    else send();
  });
  server.keepAliveTimeout = 3_600_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return { state, url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`, close: () => { server.closeAllConnections(); server.close(); } };
}
type Origin = Awaited<ReturnType<typeof startOrigin>>;

interface Plane { readonly origin: Origin; readonly clients: readonly Pool[]; readonly gateways: readonly RunningGateway[]; readonly apiKey: string; readonly bus: RedisStreamsBus }

async function get({ apiKey }: Plane, client: Pool, sku: string): Promise<Asked> {
  const answer = await client.request({ path: `/api/products/${sku}`, method: 'GET', headers: { 'x-api-key': apiKey } });
  const text = await answer.body.text();
  return { status: answer.statusCode, version: Number(/"version":(\d+)/.exec(text)?.[1]) };
}

/** 1,000 callers ask four gateways at once for what none of them has. */
async function benchMisses(plane: Plane): Promise<BenchRow> {
  const { origin, clients } = plane;
  const counts: number[] = [];
  origin.state.pauseMs = 20;
  for (let turn = 0; turn < 5; turn += 1) {
    origin.state.calls = 0;
    const answers = await Promise.all(Array.from({ length: CALLERS }, (_none, n) => get(plane, clients[n % GATEWAYS] ?? clients[0] ?? new Pool(origin.url), `hot-${turn}`)));
    if (answers.some(({ status }) => status !== 200)) throw new Error('a caller got no answer');
    counts.push(origin.state.calls);
  }
  origin.state.pauseMs = 0;
  return row(`calls of the service for ${CALLERS} concurrent misses of one product over ${GATEWAYS} gateways, most of 5`, Math.max(...counts), { unit: 'calls', atMost: 1 });
}

/** One user keeps calling all gateways for ten seconds: the quota, and what comes back meanwhile. */
async function benchLimits({ gateways, apiKey }: Plane): Promise<BenchRow> {
  const loads = await Promise.all(gateways.map(({ port }) => openRequests({
    port, connections: 4, alsoGood: ['429'], requestOf: () => `GET /api/products/P-1 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: ${apiKey}\r\nX-User-Id: bench\r\n\r\n`,
  })));
  const startMs = performance.now();
  const admitted = await Promise.all(loads.map(async (load) => {
    const seen: string[] = [];
    while (performance.now() - startMs < SECONDS * 1_000) await load.run(40, [], (status) => seen.push(status));
    return seen.filter((status) => status === '200').length;
  }));
  const seconds = (performance.now() - startMs) / 1_000;
  for (const load of loads) load.close();
  const total = admitted.reduce((sum, count) => sum + count, 0);
  const due = USER_PER_MINUTE * (1 + seconds / 60);
  return row(`calls let in over ${GATEWAYS} gateways in ${SECONDS} s, beside what the limit says`, total, { unit: 'calls', baseline: due, ratio: total / due, ratioAtLeast: 0.99, ratioAtMost: 1.01 });
}

/** A product changes while it is read: until every gateway answers the new one, and whether one answers the old one after that. */
async function benchPurges(plane: Plane): Promise<BenchRow[]> {
  const { origin, clients, bus } = plane;
  const waits: number[] = [];
  let stale = 0;
  for (let race = 0; race < RACES; race += 1) {
    const sku = `race-${race % 10}`;
    origin.state.pauseMs = race % 4;
    const readers = clients.flatMap((client) => [get(plane, client, sku), get(plane, client, sku)]);
    // In every second one the change comes when the service has just read what was so before.
    if (race % 2 === 0) await Promise.race([new Promise<void>((resolve) => { origin.state.onAsked = resolve; }), Promise.all(readers)]);
    origin.state.onAsked = () => undefined;
    const wanted = (origin.state.version += 1);
    readers.push(...clients.map((client) => get(plane, client, sku)));
    const startMs = performance.now();
    await bus.publish(productUpdates, [{ type: 'update', version: wanted, product: product(sku, wanted) }]);
    await Promise.all(clients.map((client) => eventually(async () => (await get(plane, client, sku)).version === wanted, { timeoutMs: 20_000, everyMs: 1 })));
    waits.push(performance.now() - startMs);
    await Promise.all(readers);
    stale += (await Promise.all(clients.map((client) => get(plane, client, sku)))).filter(({ version }) => version !== wanted).length;
  }
  return [
    row(`a change until ${GATEWAYS} gateways answer it, p50 of ${RACES} races`, median(waits), { unit: 'ms' }),
    row('the same, p99', percentile(waits, 0.99), { unit: 'ms' }),
    row('the same, longest', Math.max(...waits), { unit: 'ms', atMost: 1_000 }),
    row(`answers from before the change, after all had it, in ${RACES} races`, stale, { unit: 'answers', atMost: 0 }),
  ];
}

/** What four gateways do together. */
export async function benchTogether(place: Place): Promise<BenchRow[]> {
  const origin = await startOrigin();
  const gateways = await Promise.all(Array.from({ length: GATEWAYS }, (_none, n) => place.gateway(`together-${n}`, origin.url, { RATE_LIMIT_READS_PER_MINUTE: '100000000', RATE_LIMIT_WORKSPACE_PER_MINUTE: '100000000', RATE_LIMIT_USER_PER_MINUTE: String(USER_PER_MINUTE) })));
  const clients = gateways.map(({ url }) => new Pool(url, { connections: CALLERS / GATEWAYS }));
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(place.busUrl, { role, name: 'bench' }), keys: keysFor(place.busUrl), logger: silentLogger, metrics: new Registry() });
  const plane = { origin, clients, gateways, apiKey: place.apiKey, bus };
  try {
    return [await benchMisses(plane), await benchLimits(plane), ...(await benchPurges(plane))];
  } finally {
    await Promise.all(clients.map((client) => client.destroy()));
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await bus.close();
    origin.close();
  }
}
