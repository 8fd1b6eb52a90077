import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { sampleSubscriber } from '@millrace/sample-subscribers';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { Pool } from 'undici';
import { z } from 'zod';
import { alternate, median, msOf, percentile, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import type { ServerKind } from './server.ts';

const CONNECTIONS = 32;
const REQUESTS = 3_000;
const PAIRS = 9;
const startedSchema = z.object({ port: z.int(), token: z.string() });
const saidSchema = z.object({ token: z.string().optional(), cpu: z.number().optional() });

export interface LookupBench {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly generation: number;
  readonly subscribers: number;
}

interface Server {
  /** Requests a second over so many requests. */
  run(requests: number): Promise<number>;
  /** Microseconds of processor time so far. */
  cpu(): Promise<number>;
  /** Milliseconds of one request, alone. */
  time(path: string, body?: unknown): Promise<number>;
  close(): Promise<void>;
}

/** One server in a process of its own, warm. */
export async function start(kind: ServerKind, { redisUrl, databaseUrl, generation, subscribers }: LookupBench): Promise<Server> {
  const child = fork(fileURLToPath(new URL('server.ts', import.meta.url)), [kind], { env: { ...process.env, BENCH_REDIS_URL: redisUrl, BENCH_DATABASE_URL: databaseUrl, BENCH_GENERATION: String(generation) } });
  const ended = once(child, 'exit').then(([code]) => { throw new Error(`the server ended with ${String(code)}`); });
  const [message]: unknown[] = await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => undefined);
  const { port, token } = startedSchema.parse(message);
  const headers = { authorization: `Bearer ${token}` };
  let told: ((cpu: number) => void) | undefined;
  child.on('message', (said) => {
    const { token: fresh, cpu } = saidSchema.parse(said);
    if (fresh !== undefined) headers.authorization = `Bearer ${fresh}`;
    if (cpu !== undefined) told?.(cpu);
  });
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS, pipelining: 1 });
  const ask = async (path: string, body?: unknown): Promise<void> => {
    const { statusCode, body: answer } = await pool.request({ method: body === undefined ? 'GET' : 'POST', path, headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) }, body: body === undefined ? null : JSON.stringify(body) });
    await answer.dump();
    if (statusCode !== 200) throw new Error(`${kind} answered ${statusCode} to ${path}`);
  };
  // Numbers: the bare handler knows no percent-encoding of its own.
  const paths = Array.from({ length: 1_000 }, (_none, at) => `/api/ut360/recommendations/${sampleSubscriber((at * 2 * 97) % subscribers).isdn}`);
  let sent = 0;
  const run: Server['run'] = async (requests) => {
    let left = requests;
    const startMs = performance.now();
    await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
      while (left > 0) {
        left -= 1;
        await ask(paths[(sent += 1) % paths.length] ?? '');
      }
    }));
    return (requests / (performance.now() - startMs)) * 1_000;
  };
  await run(REQUESTS);
  return {
    run,
    cpu: () => new Promise((resolve) => {
      told = resolve;
      child.send('cpu');
    }),
    time: (path, body) => msOf(() => ask(path, body)),
    close: async () => {
      await pool.close();
      child.kill();
      await ended.catch(() => undefined);
    },
  };
}

async function benchLists(ours: Server, bare: Server, subscribers: number): Promise<BenchRow[]> {
  const isdns = Array.from({ length: 1_000 }, (_none, at) => sampleSubscriber((at * 211) % subscribers).isdn);
  const bulk = await alternate(41, () => ours.time('/api/ut360/lookup', { isdns }), () => bare.time('/api/ut360/lookup', { isdns }));
  const path = '/api/ut360/services/DATA_ADVANCE/top?limit=100';
  const top = await alternate(101, () => ours.time(path), () => bare.time(path));
  return [
    row('bulk of 1,000, beside bare Express + HGETALL of both hashes + stringify', median(bulk.a), { unit: 'ms', baseline: median(bulk.b), ratio: bulk.ratio, ratioAtMost: 0.4 }),
    row('bulk of 1,000, p99', percentile(bulk.a, 0.99), { unit: 'ms', atMost: 100 }),
    row('top 100, beside bare Express + ZREVRANGE + one MGET', median(top.a), { unit: 'ms', baseline: median(top.b), ratio: top.ratio, ratioAtMost: 1.3 }),
    row('top 100, p99', percentile(top.a, 0.99), { unit: 'ms', atMost: 20 }),
  ];
}

/** One after the other, each beside a raw round trip of the same moment. */
async function benchSingles(ours: Server, { redisUrl, generation, subscribers }: LookupBench): Promise<BenchRow[]> {
  const redis = connectRedis(redisUrl, { role: 'background', name: 'bench' });
  await whenReady(redis);
  const [one, profile, fallback, trips]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let at = 0; at < 600; at += 1) {
    const { isdn } = sampleSubscriber((at * 313) % subscribers);
    trips.push(await msOf(() => redis.ping()));
    one.push(await ours.time(`/api/ut360/recommendations/${encodeURIComponent(isdn)}`));
    profile.push(await ours.time(`/api/ut360/subscribers/${encodeURIComponent(isdn)}`));
    await redis.unlink(`ut360:${generation}:body:${isdn}`);
    fallback.push(await ours.time(`/api/ut360/subscribers/${encodeURIComponent(isdn)}`));
  }
  await closeRedis(redis);
  const ping = { unit: 'ms', baseline: percentile(trips, 0.99) };
  return [
    row('recommendation by ISDN, p99', percentile(one, 0.99), { ...ping, atMost: 2 }),
    row('subscriber with 12 months, p99', percentile(profile, 0.99), { ...ping, atMost: 5 }),
    row('subscriber by Postgres where Redis has lost it, p50', median(fallback), { ...ping, baseline: median(trips) }),
    row('subscriber by Postgres where Redis has lost it, p99', percentile(fallback, 0.99), { ...ping, atMost: 5 }),
  ];
}

export async function benchLookup(bench: LookupBench): Promise<BenchRow[]> {
  const ours = await start('ours', bench);
  const bare = await start('get', bench);
  try {
    const before = await Promise.all([ours.cpu(), bare.cpu()]);
    const lookups = await alternate(PAIRS, () => ours.run(REQUESTS), () => bare.run(REQUESTS));
    const [own = 0, theirs = 0] = (await Promise.all([ours.cpu(), bare.cpu()])).map((cpu, at) => (cpu - (before[at] ?? 0)) / (PAIRS * REQUESTS));
    return [
      row('lookup with a token, 32 connections, beside bare Express + GET', median(lookups.a), { unit: 'lookups/s', baseline: median(lookups.b), ratio: lookups.ratio, ratioAtLeast: 0.85 }),
      row('processor time of the server for a lookup, beside bare Express + GET', own, { unit: 'µs', baseline: theirs, ratio: own / theirs }),
      ...(await benchLists(ours, bare, bench.subscribers)), ...(await benchSingles(ours, bench)),
    ];
  } finally {
    await Promise.all([ours.close(), bare.close()]);
  }
}
