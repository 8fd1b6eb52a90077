// Every engine of the bus that is there, in turn, each beside a loop by hand with the same client.
import { setTimeout as delay } from 'node:timers/promises';
import type { ManagedBus } from '@millrace/bus';
import { openBus } from '@millrace/open-bus';
import { median, msOf, percentile, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import { redisUrl, within } from './lane.ts';
import { openRawNats, openRawPostgres, openRawRedis } from './raw-clients.ts';
import type { RawLoop } from './raw-clients.ts';
import { changeSample } from './sample.ts';

const BATCH = 100;
const BATCHES = 20;
const SINGLES = 60;
const ROUNDS = 5;
/** Until the reader has acknowledged and waits again. */
const SETTLE_MS = 3;

interface Contender {
  readonly name: string;
  readonly bus: ManagedBus;
  readonly raw: RawLoop;
}

/** Arrivals of one consumer, one at a time. */
function createArrivals() {
  let arrived = (_atMs: number): void => undefined;
  return {
    arrive: (): void => arrived(performance.now()),
    async time(send: () => Promise<unknown>): Promise<number> {
      const next = new Promise<number>((resolve) => (arrived = resolve));
      const startMs = performance.now();
      const [atMs] = await within(20, 'an event on its way', Promise.all([next, send()]));
      return atMs - startMs;
    },
  };
}

async function openContenders(): Promise<readonly Contender[]> {
  const REDIS_URL = redisUrl();
  const database = process.env['TEST_DATABASE_URL'];
  const nats = process.env['TEST_NATS_URL'];
  const open = (busUrl?: string): Promise<ManagedBus> => openBus({ config: { REDIS_URL, ...(busUrl !== undefined && { BUS_URL: busUrl }) }, name: 'bench' });
  const postgres = database === undefined || database === '' ? undefined : new URL(database);
  postgres?.searchParams.set('schema', 'bench_bus');
  return [
    { name: 'redis', bus: await open(), raw: await openRawRedis(REDIS_URL) },
    ...(nats === undefined || nats === '' ? [] : [{ name: 'nats', bus: await open(nats), raw: await openRawNats(nats) }]),
    ...(postgres && database !== undefined ? [{ name: 'postgres', bus: await open(postgres.href), raw: await openRawPostgres(database) }] : []),
  ];
}

interface Measured {
  readonly ours: { readonly rates: number[]; readonly times: number[] };
  readonly raw: { readonly rates: number[]; readonly times: number[] };
  readonly rateRatios: number[];
  readonly timeRatios: number[];
}

const rowsOf = ({ name }: Contender, { ours, raw, rateRatios, timeRatios }: Measured): BenchRow[] => [
  row(`${name}: publish, batches of ${BATCH}`, median(ours.rates), { unit: 'events/s', baseline: median(raw.rates), ratio: median(rateRatios) }),
  row(`${name}: publish to handler p50`, median(ours.times), { unit: 'ms', baseline: median(raw.times), ratio: median(timeRatios) }),
  row(`${name}: publish to handler p99`, percentile(ours.times, 0.99), { unit: 'ms', baseline: percentile(raw.times, 0.99) }),
];

/** The first round warms up and is not counted. `ratio`: the median of the rounds' ratios to the loop by hand. */
export async function benchEngines(): Promise<BenchRow[]> {
  const contenders = await openContenders();
  const sample = changeSample(BATCH * BATCHES);
  const quiet = changeSample(SINGLES);
  const arrivals = contenders.map(() => ({ ours: createArrivals(), raw: createArrivals() }));
  const results = contenders.map((): Measured => ({ ours: { rates: [], times: [] }, raw: { rates: [], times: [] }, rateRatios: [], timeRatios: [] }));
  const rate = async (publish: (from: number) => Promise<void>): Promise<number> =>
    (BATCH * BATCHES * 1_000) / (await msOf(async () => {
      for (let batch = 0; batch < BATCHES; batch += 1) await publish(batch * BATCH);
    }));
  console.table(Object.fromEntries(contenders.map(({ name, bus }) => [name, bus.features])));
  try {
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const [at, { bus, raw }] of contenders.entries()) {
        const ours = await rate((from) => bus.publish(sample.topic, sample.events.slice(from, from + BATCH)));
        const plain = await rate((from) => raw.publish(sample.plain.slice(from, from + BATCH)));
        if (round === 0) continue;
        results[at]?.ours.rates.push(ours);
        results[at]?.raw.rates.push(plain);
        results[at]?.rateRatios.push(ours / plain);
      }
    }
    for (const [at, { bus, raw }] of contenders.entries()) {
      await bus.subscribe(quiet.topic, { group: 'bench' }, async () => arrivals[at]?.ours.arrive());
      await raw.follow(() => arrivals[at]?.raw.arrive());
    }
    for (let round = 0; round <= ROUNDS; round += 1) {
      const times = contenders.map(() => ({ ours: [] as number[], raw: [] as number[] }));
      for (let n = 0; n < SINGLES; n += 1) {
        for (const [at, { bus, raw }] of contenders.entries()) {
          times[at]?.ours.push((await arrivals[at]?.ours.time(() => bus.publish(quiet.topic, quiet.events.slice(n, n + 1)))) ?? Number.NaN);
          await delay(SETTLE_MS);
          times[at]?.raw.push((await arrivals[at]?.raw.time(() => raw.publish(quiet.plain.slice(n, n + 1)))) ?? Number.NaN);
          await delay(SETTLE_MS);
        }
      }
      for (const [at, one] of round === 0 ? [] : times.entries()) {
        results[at]?.ours.times.push(...one.ours);
        results[at]?.raw.times.push(...one.raw);
        results[at]?.timeRatios.push(median(one.ours) / median(one.raw));
      }
    }
    return contenders.flatMap((contender, at) => (results[at] ? rowsOf(contender, results[at]) : []));
  } finally {
    for (const { bus, raw } of contenders) {
      await bus.close();
      await raw.close();
    }
  }
}
