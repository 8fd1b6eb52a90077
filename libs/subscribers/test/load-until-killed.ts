// A load in a process of its own: node load-until-killed.ts <databaseUrl> <redisUrl> <files as JSON> <its end as JSON> [<name>]. Kills itself where it has come
// to its end: {"phase", "dataset", "share" of what is to be done}; {} is never.
import { createPool } from '@millrace/database';
import { connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { z } from 'zod';
import { loadFiles } from '../src/index.ts';

const [databaseUrl = '', redisUrl = '', files = '{}', end = '{}', name = 'killed'] = process.argv.slice(2);
const { phase: last, dataset: of, share } = z.object({ phase: z.string().optional(), dataset: z.string().optional(), share: z.number().default(0) }).parse(JSON.parse(end));
const redis = connectRedis(redisUrl, { role: 'background', name: 'killed' });
await whenReady(redis);
const pool = createPool({ url: databaseUrl, name: 'killed', max: 4, statementTimeoutMs: 0 });
const given: unknown = JSON.parse(files);
await loadFiles({ pool, redis, keys: keysFor(redisUrl) }, {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the test that starts it
  files: given as Parameters<typeof loadFiles>[1]['files'], limit: { share: 0 }, keep: 1, name,
  progress: {
    step(phase, { dataset, done, total = 0 }) {
      if (phase === last && dataset === of && done >= share * total) process.kill(process.pid, 'SIGKILL');
    },
  },
});
process.exit(0);
