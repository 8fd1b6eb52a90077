// The consumer's process of long-run.ts, started with --expose-gc: STREAM COUNT bus|plain.
import { existsSync, readFileSync } from 'node:fs';
import { connectRedis } from '@millrace/redis-kit';
import { GROUP, openBus, plainPayload, readPlain, redisUrl } from './lane.ts';
import type { LongRunReport } from './long-run.ts';
import { changeTopic } from './sample.ts';

const [stream = '', count = '', consumer = 'bus'] = process.argv.slice(2);
const messages = Number(count);

/** The kernel's high-water mark of this process. getrusage also counts what the process was before exec: a copy of its parent. */
function peakRss(): number {
  const status = '/proc/self/status';
  const line = existsSync(status) ? /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8')) : null;
  return (line ? Number(line[1]) : process.resourceUsage().maxRSS) * 1_024;
}

function liveHeap(): number {
  if (!globalThis.gc) throw new Error('start with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

const before = process.cpuUsage();
let seen = 0;
let heapAtFifth: number | undefined;
async function handle(events: readonly unknown[]): Promise<void> {
  seen += events.length;
  if (seen >= messages / 5) heapAtFifth ??= liveHeap();
  if (seen < messages) return;
  const { user, system } = process.cpuUsage(before);
  const peak = peakRss();
  const report: LongRunReport = { heapAtFifth: heapAtFifth ?? 0, peakRss: peak, cpuMicroseconds: user + system, heapAtEnd: liveHeap() };
  process.send?.(report);
}

async function consumePlainly(): Promise<void> {
  const redis = connectRedis(redisUrl(), { role: 'blocking', name: 'bench plain' });
  await redis.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM');
  while (seen < messages) {
    const entries = await readPlain(redis.xreadgroup('GROUP', GROUP, 'plain', 'COUNT', 100, 'BLOCK', 10_000, 'STREAMS', stream, '>'));
    await handle(entries.map(([, fields]) => plainPayload(fields)));
    await redis.xack(stream, GROUP, ...entries.map(([id]) => id));
  }
}

// Its parent is gone: so is its Redis.
process.once('disconnect', () => process.exit());
if (consumer === 'plain') await consumePlainly();
else await openBus(redisUrl()).subscribe(changeTopic(stream), { group: GROUP, batchSize: 100 }, handle);
