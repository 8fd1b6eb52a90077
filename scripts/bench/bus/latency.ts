import { setTimeout as delay } from 'node:timers/promises';
import type { Topic } from '@millrace/bus';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { alternate, median, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import { GROUP, plainFields, plainPayload, readPlain, redisUrl } from './lane.ts';
import type { Lane } from './lane.ts';

const PAIRS = 9;
const SINGLES = 500;
const WARM_UP = 50;
/** Until the reader has acknowledged and waits again. */
const SETTLE_MS = 2;

/** p50 of the milliseconds from the call of `publish` to the handler, one event at a time. `arrival` is called before each. */
async function p50(publish: (n: number) => Promise<unknown>, arrival: () => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < WARM_UP + SINGLES; n += 1) {
    const arrived = arrival();
    const startMs = performance.now();
    const [atMs] = await Promise.all([arrived, publish(n)]);
    if (n >= WARM_UP) times.push(atMs - startMs);
    await delay(SETTLE_MS);
  }
  return median(times);
}

function createArrivals(): { next(): Promise<number>; now(): void } {
  let waiting: ((atMs: number) => void) | undefined;
  return {
    next: () => new Promise((resolve) => (waiting = resolve)),
    now: () => waiting?.(performance.now()),
  };
}

async function latencyOfBus<T extends Topic>({ bus, topic, events, reset }: Lane<T>): Promise<number> {
  const arrivals = createArrivals();
  const subscription = await bus.subscribe(topic, { group: GROUP }, async () => arrivals.now());
  const time = await p50((n) => bus.publish(topic, events.slice(n, n + 1)), () => arrivals.next());
  await subscription.close();
  await reset();
  return time;
}

/** XADD on one connection, a reader that waits on another. */
async function latencyOfPlain<T extends Topic>({ redis, stream, plain, reset }: Lane<T>): Promise<number> {
  const reader = connectRedis(redisUrl(), { role: 'blocking', name: 'bench plain reader' });
  await whenReady(reader);
  await redis.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM');
  const arrivals = createArrivals();
  const reading = (async () => {
    for (let seen = 0; seen < WARM_UP + SINGLES; ) {
      for (const [id, fields] of await readPlain(reader.xreadgroup('GROUP', GROUP, 'plain', 'COUNT', 64, 'BLOCK', 2_000, 'STREAMS', stream, '>'))) {
        plainPayload(fields);
        arrivals.now();
        await reader.xack(stream, GROUP, id);
        seen += 1;
      }
    }
  })();
  const time = await p50(async (n) => { for (const event of plain.slice(n, n + 1)) await redis.xadd(stream, '*', ...plainFields(event)); }, () => arrivals.next());
  await reading;
  await closeRedis(reader);
  await reset();
  return time;
}

export async function benchLatency<T extends Topic>(lane: Lane<T>): Promise<BenchRow> {
  await latencyOfBus(lane);
  await latencyOfPlain(lane);
  const { a, b, ratio } = await alternate(PAIRS, () => latencyOfBus(lane), () => latencyOfPlain(lane));
  return row('publish to handler p50, against XADD to XREADGROUP', median(a), { unit: 'ms', baseline: median(b), ratio, ratioAtMost: 1.3 });
}
