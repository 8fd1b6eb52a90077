import { readFile } from 'node:fs/promises';
import { createPool } from '@millrace/database';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import type { Stores } from '@millrace/subscribers';
import { z } from 'zod';
import type { Config } from './config.ts';
import { UsageError } from './usage-error.ts';

const stackSchema = z.object({ ut360: z.object({ databaseUrl: z.url(), redisUrl: z.url(), erasureSecret: z.string().optional() }) });

async function localStores(file: string | undefined): Promise<z.output<typeof stackSchema>['ut360'] | undefined> {
  if (file === undefined) return undefined;
  try {
    return stackSchema.parse(JSON.parse(await readFile(file, 'utf8'))).ut360;
  } catch {
    return undefined;
  }
}

/**
 * Runs `work` with the database and the Redis of subscribers: the configured ones, else those of the local stack. Throws UsageError where there are
 * none. Without `needsRedis` it begins although Redis is away, and a Redis that hangs is given up after 5 s.
 */
export async function withSubscriberStores<T>(config: Config, work: (stores: Stores) => Promise<T>, { needsRedis = true } = {}): Promise<T> {
  const local = await localStores(config.MILLRACE_STACK_FILE);
  const databaseUrl = config.DATABASE_DIRECT_URL ?? config.UT360_LOOKUP_DATABASE_URL ?? local?.databaseUrl;
  const redisUrl = config.UT360_REDIS_URL ?? local?.redisUrl;
  if (databaseUrl === undefined || redisUrl === undefined) throw new UsageError('no stores: start the local stack by "npm start", or set UT360_LOOKUP_DATABASE_URL and UT360_REDIS_URL');
  const pool = createPool({ url: databaseUrl, name: 'millrace-ut360', max: 4, statementTimeoutMs: 0 });
  const redis = connectRedis(redisUrl, { role: 'background', name: 'millrace:ut360', silentSocketMs: needsRedis ? 60_000 : 5_000 });
  try {
    if (needsRedis) await whenReady(redis);
    return await work({ pool, redis, keys: keysFor(redisUrl), erasureSecret: config.UT360_ERASURE_SECRET ?? local?.erasureSecret });
  } finally {
    await closeRedis(redis);
    await pool.end();
  }
}
