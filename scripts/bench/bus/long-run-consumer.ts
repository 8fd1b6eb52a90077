// The consumer's process of long-run.ts, started with --expose-gc: STREAM COUNT.
import { existsSync, readFileSync } from 'node:fs';
import { GROUP, openBus, redisUrl } from './lane.ts';
import type { LongRunReport } from './long-run.ts';
import { changeTopic } from './sample.ts';

const [stream = '', count = ''] = process.argv.slice(2);
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

// Its parent is gone: so is its Redis.
process.once('disconnect', () => process.exit());
const bus = openBus(redisUrl());
let seen = 0;
let heapAtFifth: number | undefined;
const before = process.cpuUsage();
await bus.subscribe(changeTopic(stream), { group: GROUP, batchSize: 100 }, async (events) => {
  seen += events.length;
  if (seen >= messages / 5) heapAtFifth ??= liveHeap();
  if (seen < messages) return;
  const { user, system } = process.cpuUsage(before);
  const peak = peakRss();
  const report: LongRunReport = { heapAtFifth: heapAtFifth ?? 0, peakRss: peak, rssAtEnd: process.memoryUsage.rss(), cpuMicroseconds: user + system, heapAtEnd: liveHeap() };
  process.send?.(report);
});
