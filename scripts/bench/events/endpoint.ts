import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { z } from 'zod';
import { alternate, median, percentile, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import { openLoad } from './load.ts';
import type { ServerKind } from './server.ts';

const CONNECTIONS = 32;
const REQUESTS = 3_000;
/** Until the compilers are done, for all three alike. */
const WARM_UP = 15_000;
const PAIRS = 9;

interface Server {
  /** Requests a second over so many requests; the times go to `times`, in milliseconds. */
  run(requests: number, times?: number[]): Promise<number>;
  close(): Promise<void>;
}

export interface Stores {
  readonly redisUrl: string;
  readonly databaseUrl: string;
}

const bodyOf = (n: number): string => JSON.stringify({ user_id: n % 5_000, asin: `P-${n % 1_000}`, event_type: 'view', metadata: { page: 'detail', position: n % 20 } });

const startedSchema = z.object({ port: z.int(), token: z.string() });

/** Each in a process of its own; the one that is not asked costs nothing. */
async function start(kind: ServerKind, { redisUrl, databaseUrl }: Stores): Promise<Server> {
  const child: ChildProcess = fork(fileURLToPath(new URL('server.ts', import.meta.url)), [kind], { env: { ...process.env, BENCH_REDIS_URL: redisUrl, BENCH_DATABASE_URL: databaseUrl } });
  const ended = once(child, 'exit').then(([code]) => { throw new Error(`the server ended with ${String(code)}`); });
  const [message]: unknown[] = await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => undefined);
  const { port, ...first } = startedSchema.parse(message);
  let { token } = first;
  child.on('message', (renewed) => ({ token } = startedSchema.parse(renewed)));
  const load = await openLoad({ port, path: '/api/event', token: () => token, connections: CONNECTIONS, bodyOf });
  await load.run(WARM_UP);
  return {
    run: (requests, times) => load.run(requests, times),
    close: async () => {
      load.close();
      child.kill();
      await ended.catch(() => undefined);
    },
  };
}

/** Mean of all calls since Redis started; only ours are scripts. */
async function scriptMs(redisUrl: string): Promise<number> {
  const redis = connectRedis(redisUrl, { role: 'background', name: 'bench' });
  const stats = await redis.info('commandstats');
  await closeRedis(redis);
  return Number(/cmdstat_evalsha:.*?usec_per_call=([\d.]+)/.exec(stats)?.[1]) / 1_000;
}

/** POST /api/event at the service's own port, with a valid token, against the same by hand and against answers alone. */
export async function benchEndpoint(stores: Stores): Promise<BenchRow[]> {
  const ours = await start('ours', stores);
  const pipeline = await start('pipeline', stores);
  const answers = await start('answers', stores);
  try {
    const times: number[] = [];
    const againstPipeline = await alternate(PAIRS, () => ours.run(REQUESTS, times), () => pipeline.run(REQUESTS));
    const againstAnswers = await alternate(PAIRS, () => ours.run(REQUESTS, times), () => answers.run(REQUESTS));
    const options = { unit: 'events/s' };
    return [
      row('POST /api/event, beside Express + zod + 6 commands', median(againstPipeline.a), { ...options, baseline: median(againstPipeline.b), ratio: againstPipeline.ratio, ratioAtLeast: 1.5 }),
      row('POST /api/event, beside Express + zod that only answers', median(againstAnswers.a), { ...options, baseline: median(againstAnswers.b), ratio: againstAnswers.ratio, ratioAtLeast: 0.85 }),
      row('POST /api/event, 32 connections, p50', median(times), { unit: 'ms' }),
      row('POST /api/event, 32 connections, p99', percentile(times, 0.99), { unit: 'ms', atMost: 10 }),
      row('event script, one call in Redis', await scriptMs(stores.redisUrl), { unit: 'ms', atMost: 5 }),
    ];
  } finally {
    await Promise.all([ours, pipeline, answers].map((server) => server.close()));
  }
}
