import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { openRequests } from '../events/load.ts';
import type { Load } from '../events/load.ts';
import { alternate, median, percentile, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import type { Place, RunningGateway } from './place.ts';
import { productBody } from './product.ts';

const CONNECTIONS = 32;
const REQUESTS = 1_000;
/** Until the compilers are done, for all alike. */
const WARM_UP = 10_000;
const PAIRS = 15;
const SKUS = 50;
/** So that no key runs out of units within a run. */
const LIMITS = { RATE_LIMIT_READS_PER_MINUTE: '100000000', RATE_LIMIT_WORKSPACE_PER_MINUTE: '100000000' };

export const skuOf = (n: number): string => `P-${n % SKUS}`;

const requestTo = (port: number, headers: string) => (n: number): string => `GET /api/products/${skuOf(n)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${headers}\r\n`;

/** Of an ordinary client. */
const COMMON = 'Accept: application/json\r\nUser-Agent: bench\r\n';

async function warm(port: number, headers: string, requests = WARM_UP): Promise<Load> {
  const load = await openRequests({ port, connections: CONNECTIONS, requestOf: requestTo(port, headers) });
  await load.run(requests);
  return load;
}

/** Cached answers, each kind of gateway beside Express and one GET. */
async function benchCached(place: Place, upstreamUrl: string): Promise<BenchRow[]> {
  const redis = connectRedis(place.cacheUrl, { role: 'background', name: 'bench' });
  await whenReady(redis);
  for (let n = 0; n < SKUS; n += 1) await redis.set(`product:${skuOf(n)}`, productBody(skuOf(n), 1));
  await closeRedis(redis);
  const key = `${COMMON}X-Api-Key: ${place.apiKey}\r\n`;
  const express = await warm(await place.server('express'), COMMON);
  const against = async (name: string, env: Readonly<Record<string, string>>, ratioAtLeast: number): Promise<BenchRow> => {
    const gateway = await place.gateway(name.replaceAll(/\W+/g, '-'), upstreamUrl, { ...LIMITS, ...env });
    const ours = await warm(gateway.port, key);
    const { a, b, ratio } = await alternate(PAIRS, () => ours.run(REQUESTS), () => express.run(REQUESTS));
    ours.close();
    await gateway.stop();
    return row(`${name}, beside Express + one GET`, median(a), { unit: 'requests/s', baseline: median(b), ratio, ratioAtLeast });
  };
  const rows = [
    await against('cached in Redis, limits leased', { CACHE_NEAR_BYTES: '0' }, 0.8),
    await against('cached in Redis, limits strict', { CACHE_NEAR_BYTES: '0', RATE_LIMITS_STRICT: 'true' }, 0.6),
    await against('cached near, limits leased', {}, 0.9),
  ];
  express.close();
  return rows;
}

/** Milliseconds of single calls, one after the other. */
async function times(load: Load, requests: number): Promise<number[]> {
  const all: number[] = [];
  await load.run(requests, all);
  return all;
}

/** A GET that is passed on to a service, beside the same from the service itself. */
async function benchProxied(place: Place, upstreamPort: number): Promise<BenchRow[]> {
  const gateway: RunningGateway = await place.gateway('proxied', `http://127.0.0.1:${upstreamPort}`, { ...LIMITS, CACHE_ENABLED: 'false' });
  const key = `${COMMON}X-Api-Key: ${place.apiKey}\r\n`;
  const many = await warm(gateway.port, key);
  const before = await gateway.cpuSeconds();
  const [requests, rates] = [10_000, [] as number[]];
  for (let turn = 0; turn < 10; turn += 1) rates.push(await many.run(requests / 10));
  const cpu = ((await gateway.cpuSeconds()) - before) / requests;
  many.close();
  const [through, direct] = await Promise.all([[gateway.port, key] as const, [upstreamPort, COMMON] as const].map(([port, headers]) => openRequests({ port, connections: 1, requestOf: requestTo(port, headers) })));
  if (!through || !direct) throw new Error('no connection');
  const [all, bare]: [number[], number[]] = [[], []];
  const added: number[] = [];
  for (let pair = 0; pair < 2 * PAIRS; pair += 1) {
    const [a, b] = [await times(through, 100), await times(direct, 100)];
    all.push(...a);
    bare.push(...b);
    added.push(median(a) - median(b));
  }
  through.close();
  direct.close();
  await gateway.stop();
  return [
    row('what the gateway adds to a proxied GET, p50', median(added), { unit: 'ms', atMost: 1 }),
    row('a proxied GET, p50, beside the service itself', median(all), { unit: 'ms', baseline: median(bare), ratio: median(all) / median(bare) }),
    row('a proxied GET, p99', percentile(all, 0.99), { unit: 'ms', baseline: percentile(bare, 0.99) }),
    row('processor time of the gateway for a proxied GET', cpu * 1_000_000, { unit: 'µs', atMost: 150 }),
    row('proxied GETs, 32 connections', median(rates), { unit: 'requests/s' }),
  ];
}

/** How fast one gateway is. */
export async function benchSpeed(place: Place): Promise<BenchRow[]> {
  const port = await place.server('upstream');
  const proxied = await benchProxied(place, port);
  return [...proxied, ...(await benchCached(place, `http://127.0.0.1:${port}`))];
}
