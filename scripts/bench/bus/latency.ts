import { setTimeout as delay } from 'node:timers/promises';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { median, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import { GROUP, openLane, plainFields, plainPayload, readPlain, redisUrl } from './lane.ts';
import type { Lane } from './lane.ts';
import { changeSample } from './sample.ts';
import type { ChangeTopic } from './sample.ts';

const ROUNDS = 11;
const SINGLES = 500;
/** Until the reader has acknowledged and waits again. */
const SETTLE_MS = 2;

/** One way from a publisher to a handler. */
interface Path {
  /** Milliseconds from the call to the handler, for the n-th event. Resolves once the publisher has its answer, too. */
  send(n: number): Promise<number>;
  close(): Promise<void>;
}

/** `arrive` is called by the handler, before anything else that it does. */
function createStopwatch(): { arrive(): void; time(publish: () => Promise<unknown>): Promise<number> } {
  let arrive = (_atMs: number): void => undefined;
  return {
    arrive: () => arrive(performance.now()),
    async time(publish) {
      const arrived = new Promise<number>((resolve) => (arrive = resolve));
      const startMs = performance.now();
      const [atMs] = await Promise.all([arrived, publish()]);
      return atMs - startMs;
    },
  };
}

async function openBusPath({ bus, topic, events }: Lane<ChangeTopic>): Promise<Path> {
  const stopwatch = createStopwatch();
  const subscription = await bus.subscribe(topic, { group: GROUP }, async () => stopwatch.arrive());
  return {
    send: (n) => stopwatch.time(() => bus.publish(topic, events.slice(n, n + 1))),
    close: () => subscription.close(),
  };
}

/** XADD on one connection, XREADGROUP on another, which waits. Acknowledged one by one, after the handler. */
async function openPlainPath({ redis, stream, plain }: Lane<ChangeTopic>): Promise<Path> {
  const stopwatch = createStopwatch();
  const reader = connectRedis(redisUrl(), { role: 'blocking', name: 'bench plain reader' });
  await whenReady(reader);
  await redis.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM');
  const closing = new AbortController();
  const handle = async (_payload: unknown): Promise<void> => stopwatch.arrive();
  const reading = (async () => {
    while (!closing.signal.aborted) {
      const entries = await readPlain(reader.xreadgroup('GROUP', GROUP, 'plain', 'COUNT', 64, 'BLOCK', 2_000, 'STREAMS', stream, '>'));
      for (const [id, fields] of entries) {
        await handle(plainPayload(fields));
        await reader.xack(stream, GROUP, id);
      }
    }
  })();
  const add = async (n: number): Promise<void> => {
    for (const event of plain.slice(n, n + 1)) await redis.xadd(stream, '*', ...plainFields(event));
  };
  return {
    send: (n) => stopwatch.time(() => add(n)),
    async close() {
      closing.abort();
      await add(0);
      await reading;
      await closeRedis(reader);
    },
  };
}

/** p50 of both ways. They take turns with every single event, because a latency here depends on what else the machine does in that second. */
async function roundOf(ours: Path, plain: Path): Promise<{ ours: number; plain: number }> {
  const times: Record<'ours' | 'plain', number[]> = { ours: [], plain: [] };
  for (let n = 0; n < SINGLES; n += 1) {
    for (const first of [n % 2 === 0, n % 2 !== 0]) {
      times[first ? 'ours' : 'plain'].push(await (first ? ours : plain).send(n));
      await delay(SETTLE_MS);
    }
  }
  return { ours: median(times.ours), plain: median(times.plain) };
}

/** The first round warms up and is not counted. */
export async function benchLatency(): Promise<BenchRow> {
  const lanes = await Promise.all([openLane(changeSample(SINGLES)), openLane(changeSample(SINGLES))]);
  const [ours, plain] = await Promise.all([openBusPath(lanes[0]), openPlainPath(lanes[1])]);
  try {
    await roundOf(ours, plain);
    const rounds: { ours: number; plain: number }[] = [];
    for (let round = 0; round < ROUNDS; round += 1) rounds.push(await roundOf(ours, plain));
    const ratio = median(rounds.map((p50) => p50.ours / p50.plain));
    return row('publish to handler p50, against XADD to XREADGROUP', median(rounds.map((p50) => p50.ours)), { unit: 'ms', baseline: median(rounds.map((p50) => p50.plain)), ratio, ratioAtMost: 1.3 });
  } finally {
    await ours.close();
    await plain.close();
    for (const lane of lanes) await lane.close();
  }
}
