// A load in a process of its own: node load-until-killed.ts <databaseUrl> <redisUrl> <files as JSON> [<name>]. Tells its parent how far it is, by phase.
import { createPool } from '@millrace/database';
import { connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { loadFiles } from '../src/index.ts';

const [databaseUrl = '', redisUrl = '', files = '{}', name = 'killed'] = process.argv.slice(2);
const redis = connectRedis(redisUrl, { role: 'background', name: 'killed' });
await whenReady(redis);
const pool = createPool({ url: databaseUrl, name: 'killed', max: 4, statementTimeoutMs: 0 });
const given: unknown = JSON.parse(files);
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the test that starts it
await loadFiles({ pool, redis, keys: keysFor(redisUrl) }, { files: given as Parameters<typeof loadFiles>[1]['files'], limit: { share: 0 }, keep: 1, name, progress: { step: (phase, { dataset, done, total }) => process.send?.({ phase, dataset, done, total }) } });
process.exit(0);
