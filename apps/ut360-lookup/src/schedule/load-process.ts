// The process that does a scheduled load, beside the service: what it takes of time and memory is not taken from lookups. It is told what to
// do by a message, says how far it is, and goes with its parent.
import { setPriority } from 'node:os';
import { createPool } from '@millrace/database';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { createLogger } from '@millrace/service';
import type { LoadProgress } from '@millrace/subscribers';
import { loadSettingsSchema } from './load-messages.ts';
import type { LoadMessage, LoadSettings, Outcome } from './load-messages.ts';
import { runScheduledLoad } from './run-scheduled-load.ts';

/** Of messages; the first and the last step of a phase are always told. */
const STEP_EVERY_MS = 1_000;

const logger = createLogger('ut360-lookup', 'info');
const stopping = new AbortController();
const tell = (message: LoadMessage): void => void process.send?.(message);

function createProgress(): LoadProgress {
  let phase = '';
  let toldMs = 0;
  return {
    step(name, { dataset, done, total, rows }) {
      const isNew = `${name} ${dataset ?? ''}` !== phase;
      if (!isNew && performance.now() - toldMs < STEP_EVERY_MS && done !== total) return;
      phase = `${name} ${dataset ?? ''}`;
      toldMs = performance.now();
      tell({ kind: 'step', phase: name, done, ...(dataset !== undefined && { dataset }), ...(total !== undefined && { total }), ...(rows !== undefined && { rows }) });
    },
  };
}

async function run(settings: LoadSettings): Promise<Outcome> {
  const pool = createPool({ url: settings.databaseUrl, name: 'ut360-lookup:schedule', max: 4, statementTimeoutMs: 0, logger });
  const redis = connectRedis(settings.redisUrl, { role: 'background', name: 'ut360-lookup:load', silentSocketMs: 60_000 });
  const bus = connectRedis(settings.busRedisUrl, { role: 'background', name: 'ut360-lookup:lease' });
  try {
    await whenReady(bus);
    return await runScheduledLoad({
      stores: { pool, redis, keys: keysFor(settings.redisUrl), erasureSecret: settings.erasureSecret }, settings, progress: createProgress(), signal: stopping.signal,
      lease: { redis: bus, keys: keysFor(settings.busRedisUrl).lease('ut360-load'), ttlMs: settings.leaseMs },
      onFailure: (err) => logger.error({ err }, 'the scheduled load failed'),
    });
  } finally {
    await Promise.all([closeRedis(redis), closeRedis(bus), pool.end()]);
  }
}

setPriority(10);
const dieWithParent = (): never => process.exit(1);
process.on('disconnect', dieWithParent);
for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => stopping.abort(new Error('the service was stopped')));
const runAndTell = async (message: unknown): Promise<void> => {
  try {
    const settings = loadSettingsSchema.parse(message);
    logger.level = settings.logLevel;
    const alive = setInterval(() => tell({ kind: 'alive' }), settings.leaseMs / 3);
    const outcome = await run(settings);
    clearInterval(alive);
    process.off('disconnect', dieWithParent);
    process.send?.({ kind: 'ended', outcome } satisfies LoadMessage, () => process.disconnect());
  } catch (err) {
    logger.error({ err }, 'the scheduled load could not be begun or recorded');
    process.exit(1);
  }
};
process.once('message', (message) => void runAndTell(message));
