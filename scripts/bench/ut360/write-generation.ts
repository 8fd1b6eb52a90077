// One generation in a process of its own: node write-generation.ts <databaseUrl> <redisUrl> <pointer as JSON> <subscribers>. Its report goes to the parent.
import { createPool } from '@millrace/database';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { parsePointer, writeGeneration } from '@millrace/subscribers';

const [databaseUrl = '', redisUrl = '', text = '', subscribers = '0'] = process.argv.slice(2);
const pointer = parsePointer(text);
if (pointer === undefined) throw new Error('there is no pointer');
const redis = connectRedis(redisUrl, { role: 'background', name: 'bench', silentSocketMs: 60_000 });
await whenReady(redis);
const pool = createPool({ url: databaseUrl, name: 'bench', max: 4, statementTimeoutMs: 0 });
const [startMs, before] = [performance.now(), process.cpuUsage()];
await writeGeneration(pool, { redis, keys: keysFor(redisUrl), generation: pointer.redis, triple: pointer, lastMonth: pointer.last_month, expected: Number(subscribers), facts: {}, onProgress: () => undefined, signal: undefined });
const { user, system } = process.cpuUsage(before);
process.send?.({ ms: performance.now() - startMs, cpuMs: (user + system) / 1_000 });
await closeRedis(redis);
await pool.end();
