import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPool } from '@millrace/database';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { writeSampleFiles } from '@millrace/sample-subscribers';
import { loadFiles, readPointer } from '@millrace/subscribers';

/** Loads sample subscribers where none were ever loaded. Returns how many there are because of it. */
export async function loadSampleSubscribers({ databaseUrl, redisUrl }: { readonly databaseUrl: string; readonly redisUrl: string }, count = 2_000): Promise<number> {
  const pool = createPool({ url: databaseUrl, name: 'sample-subscribers', max: 4, statementTimeoutMs: 0 });
  const redis = connectRedis(redisUrl, { role: 'background', name: 'sample-subscribers' });
  const directory = await mkdtemp(join(tmpdir(), 'millrace-sample-'));
  try {
    if ((await readPointer(pool)).redis > 0) return 0;
    await whenReady(redis);
    const { recommendations, profiles, arpu } = await writeSampleFiles({ count, directory });
    const { counts } = await loadFiles({ pool, redis, keys: keysFor(redisUrl) }, { files: { recommendations: { path: recommendations }, profiles: { path: profiles }, arpu: { path: arpu } }, limit: { share: 0 }, keep: 1 });
    return counts['subscribers'] ?? 0;
  } finally {
    await closeRedis(redis);
    await pool.end();
    await rm(directory, { recursive: true });
  }
}
