// A load in a process of its own, so that its memory is its own: node loader.ts <databaseUrl> <redisUrl> <files as JSON>. Its report goes to the parent.
import { createPool } from '@millrace/database';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { loadFiles } from '@millrace/subscribers';
import { z } from 'zod';

const source = z.object({ path: z.string() });
const [databaseUrl = '', redisUrl = '', files = '{}'] = process.argv.slice(2);
const redis = connectRedis(redisUrl, { role: 'background', name: 'loader', silentSocketMs: 60_000 });
await whenReady(redis);
const pool = createPool({ url: databaseUrl, name: 'loader', max: 4, statementTimeoutMs: 0 });
let peak = 0;
const watch = setInterval(() => { peak = Math.max(peak, process.memoryUsage.rss()); }, 20);
const report = await loadFiles({ pool, redis, keys: keysFor(redisUrl) }, {
  files: z.object({ recommendations: source, profiles: source, arpu: source }).parse(JSON.parse(files)), limit: { share: 0 }, keep: 1,
});
clearInterval(watch);
process.send?.({ seconds: report.seconds, pointer: JSON.stringify(report.pointer), bytesPerSubscriber: report.redis_bytes_per_subscriber, peak });
await closeRedis(redis);
await pool.end();
