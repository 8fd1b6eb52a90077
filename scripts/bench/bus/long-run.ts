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
/** About what Node allows itself in a container of 512 MB, the limit of every app in docker-compose.yml. On a machine with much memory V8's young generation alone takes over 100 MB, whatever runs in it. */
const CONTAINER_HEAP = '--max-heap-size=256';
const MIB = 1_048_576;

/** What the consumer's process reports; sizes in bytes. `heap`: live after a forced collection, once a fifth is handled and once all is. */
const reportSchema = z.object({ heapAtFifth: z.number(), heapAtEnd: z.number(), peakRss: z.number(), cpuMicroseconds: z.number() });
export type LongRunReport = z.output<typeof reportSchema>;

interface Published { readonly longest: number; readonly redisPeak: number }

/** Publishes all, never more than about MOST_WAITING ahead of the group, and trims what is acknowledged. */
async function publishAll({ bus, topic, events, redis, stream }: Lane<ChangeTopic>, messages: number): Promise<Published> {
  let [longest, redisPeak] = [0, 0];
  for (let sent = 0; sent < messages; ) {
    for (const end = Math.min(messages, sent + STRIDE); sent < end; sent += BATCH) {
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

interface LongRun {
  readonly consumer: 'bus' | 'plain';
  readonly messages: number;
  readonly flags: readonly string[];
}
type LongRunResult = LongRunReport & Published & { readonly rate: number };

/** One consumer in a process of its own, one publisher in this one. */
async function runThrough({ consumer, messages, flags }: LongRun): Promise<LongRunResult> {
  const lane = await openLane(changeSample(10_000));
  const child = fork(fileURLToPath(new URL('long-run-consumer.ts', import.meta.url)), [lane.stream, String(messages), consumer], { execArgv: ['--expose-gc', ...flags] });
  try {
    const startMs = performance.now();
    const [report, published] = await within(900, 'the long run', Promise.all([reportOf(child), publishAll(lane, messages)]));
    return { ...report, ...published, rate: messages / ((performance.now() - startMs) / 1_000) };
  } finally {
    child.kill();
    await lane.close();
  }
}

/** A consumer must not grow. */
export async function benchLongRun(): Promise<BenchRow[]> {
  const inContainer = await runThrough({ consumer: 'bus', messages: MESSAGES, flags: [CONTAINER_HEAP] });
  const plain = await runThrough({ consumer: 'plain', messages: MESSAGES / 5, flags: [CONTAINER_HEAP] });
  const unbounded = await runThrough({ consumer: 'bus', messages: MESSAGES / 5, flags: [] });
  const unboundedPlain = await runThrough({ consumer: 'plain', messages: MESSAGES / 5, flags: [] });
  const resident = (a: LongRunResult, b: LongRunResult) => ({ unit: 'MiB', baseline: b.peakRss / MIB, ratio: a.peakRss / b.peakRss });
  const of = `${MESSAGES} through one consumer`;
  return [
    row(`${of}, published meanwhile`, inContainer.rate, { unit: 'messages/s' }),
    row(`${of}: most resident memory, ${CONTAINER_HEAP}`, inContainer.peakRss / MIB, { ...resident(inContainer, plain), atMost: 180 }),
    row(`${of}: growth of the live heap after a fifth`, (inContainer.heapAtEnd - inContainer.heapAtFifth) / MIB, { unit: 'MiB', baseline: inContainer.heapAtFifth / MIB, atMost: 5 }),
    row(`${of}: CPU time of its process a message`, inContainer.cpuMicroseconds / MESSAGES, { unit: 'us', baseline: plain.cpuMicroseconds / (MESSAGES / 5), ratio: (inContainer.cpuMicroseconds / plain.cpuMicroseconds) / 5 }),
    row(`${of}: longest stream`, inContainer.longest, { unit: 'entries' }),
    row(`${of}: most memory of Redis`, inContainer.redisPeak / MIB, { unit: 'MiB' }),
    row(`${MESSAGES / 5} through one consumer: most resident memory, Node's own heap limit here`, unbounded.peakRss / MIB, resident(unbounded, unboundedPlain)),
  ];
}
