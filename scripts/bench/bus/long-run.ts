import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { infoField } from '@millrace/redis-kit';
import { z } from 'zod';
import { row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import { GROUP, openLane, within } from './lane.ts';
import type { Lane } from './lane.ts';
import { changeSample } from './sample.ts';
import type { ChangeTopic } from './sample.ts';

const MESSAGES = Number(process.env['BENCH_MESSAGES'] ?? 1_000_000);
const BATCH = 500;
/** Events between two looks at the lag. */
const STRIDE = 2_000;
const MOST_WAITING = 10_000;
const MIB = 1_048_576;

/** What the consumer's process reports; sizes in bytes. `heap`: live after a forced collection, once a fifth is handled and once all is. */
const reportSchema = z.object({ heapAtFifth: z.number(), heapAtEnd: z.number(), peakRss: z.number(), rssAtEnd: z.number(), cpuMicroseconds: z.number() });
export type LongRunReport = z.output<typeof reportSchema>;

interface Published { readonly longest: number; readonly redisPeak: number }

/** Publishes all, never more than about MOST_WAITING ahead of the group, and trims what is acknowledged. */
async function publishAll({ bus, topic, events, redis, stream }: Lane<ChangeTopic>): Promise<Published> {
  let [longest, redisPeak] = [0, 0];
  for (let sent = 0; sent < MESSAGES; ) {
    for (const end = Math.min(MESSAGES, sent + STRIDE); sent < end; sent += BATCH) {
      const from = sent % events.length;
      await bus.publish(topic, events.slice(from, from + Math.min(BATCH, end - sent)));
    }
    longest = Math.max(longest, await redis.xlen(stream));
    redisPeak = Math.max(redisPeak, Number(await infoField(redis, 'used_memory')));
    await bus.trimAcknowledged(topic, { keep: 0 });
    while ((await bus.lag(topic, GROUP)).messages > MOST_WAITING) await delay(5);
  }
  return { longest, redisPeak };
}

/** Rejects where the process ends without a report. */
async function reportOf(child: ChildProcess): Promise<LongRunReport> {
  const ended = once(child, 'exit').then(([code]) => { throw new Error(`the consumer's process ended with ${String(code)}`); });
  const [message]: unknown[] = await Promise.race([once(child, 'message'), ended]);
  return reportSchema.parse(message);
}

/** One consumer in a process of its own for the whole run: it must not grow. */
export async function benchLongRun(): Promise<BenchRow[]> {
  const lane = await openLane(changeSample(10_000));
  const child = fork(fileURLToPath(new URL('long-run-consumer.ts', import.meta.url)), [lane.stream, String(MESSAGES)], { execArgv: ['--expose-gc'] });
  try {
    const startMs = performance.now();
    const [report, published] = await within(900, 'the long run', Promise.all([reportOf(child), publishAll(lane)]));
    const seconds = (performance.now() - startMs) / 1_000;
    const of = `${MESSAGES} messages through one consumer`;
    return [
      row(`${of}, published meanwhile`, MESSAGES / seconds, { unit: 'messages/s' }),
      row(`${of}: most resident memory`, report.peakRss / MIB, { unit: 'MiB', atMost: 180 }),
      row(`${of}: resident memory at the end`, report.rssAtEnd / MIB, { unit: 'MiB' }),
      row(`${of}: live heap at a fifth`, report.heapAtFifth / MIB, { unit: 'MiB' }),
      row(`${of}: growth of the live heap from there`, (report.heapAtEnd - report.heapAtFifth) / MIB, { unit: 'MiB', atMost: 5 }),
      row(`${of}: CPU time of its process a message`, report.cpuMicroseconds / MESSAGES, { unit: 'us' }),
      row(`${of}: longest stream`, published.longest, { unit: 'entries' }),
      row(`${of}: most memory of Redis`, published.redisPeak / MIB, { unit: 'MiB' }),
    ];
  } finally {
    child.kill();
    await lane.close();
  }
}
