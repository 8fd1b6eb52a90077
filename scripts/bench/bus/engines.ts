// Every engine of the bus that is there and the memory bus, in turn, each beside a loop by hand with the same client.
import { setTimeout as delay } from 'node:timers/promises';
import { createMemoryBus } from '@millrace/bus';
import type { EventBus, ManagedBus } from '@millrace/bus';
import { openBus } from '@millrace/open-bus';
import { median, msOf, percentile, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import { redisUrl, within } from './lane.ts';
import { openRawMemory, openRawNats, openRawPostgres, openRawRedis } from './raw-clients.ts';
import type { RawLoop } from './raw-clients.ts';
import { changeSample } from './sample.ts';

const BATCH = 100;
/** Published by ours, then by hand, then the other way around: short turns, so that what else the machine does meets both. */
const BATCHES = 5;
const TURNS = 60;
const SINGLES = 60;
const PUBLISH_AT_LEAST = 0.7;
const ROUNDS = 5;
/** Until the reader has acknowledged and waits again. */
const SETTLE_MS = 3;

interface Contender {
  readonly name: string;
  readonly bus: EventBus & Partial<Pick<ManagedBus, 'features'>>;
  readonly raw: RawLoop;
  /** Share of the loop by hand that publishing has to reach. */
  readonly publishAtLeast?: number;
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
  const publishAtLeast = PUBLISH_AT_LEAST;
  return [
    // Its loop by hand calls a function: what is left is the codec and the policy.
    { name: 'memory', bus: createMemoryBus(), raw: openRawMemory() },
    { publishAtLeast, name: 'redis', bus: await open(), raw: await openRawRedis(REDIS_URL) },
    ...(nats === undefined || nats === '' ? [] : [{ publishAtLeast, name: 'nats', bus: await open(nats), raw: await openRawNats(nats) }]),
    ...(postgres && database !== undefined ? [{ publishAtLeast, name: 'postgres', bus: await open(postgres.href), raw: await openRawPostgres(database) }] : []),
  ];
}

interface Measured {
  readonly ours: { readonly rates: number[]; readonly times: number[] };
  readonly raw: { readonly rates: number[]; readonly times: number[] };
  readonly rateRatios: number[];
  readonly timeRatios: number[];
}

const rowsOf = ({ name, publishAtLeast }: Contender, { ours, raw, rateRatios, timeRatios }: Measured): BenchRow[] => [
  row(`${name}: publish, batches of ${BATCH}`, median(ours.rates), { unit: 'events/s', baseline: median(raw.rates), ratio: median(rateRatios), ...(publishAtLeast !== undefined && { ratioAtLeast: publishAtLeast }) }),
  row(`${name}: publish to handler p50`, median(ours.times), { unit: 'ms', baseline: median(raw.times), ratio: median(timeRatios) }),
  row(`${name}: publish to handler p99`, percentile(ours.times, 0.99), { unit: 'ms', baseline: percentile(raw.times, 0.99) }),
];

/** One line an engine. */
const besideEachOther = (contenders: readonly Contender[], results: readonly Measured[]): Record<string, Record<string, number>> =>
  Object.fromEntries(contenders.map((contender, at) => {
    const [publish, p50, p99] = results[at] ? rowsOf(contender, results[at]) : [];
    const columns: [string, number | null | undefined][] = [
      [`publish by ${BATCH}, events/s`, publish?.value], ['by hand', publish?.baseline], ['ratio', publish?.ratio],
      ['to handler p50, ms', p50?.value], ['p50 by hand', p50?.baseline], ['p50 ratio', p50?.ratio], ['p99, ms', p99?.value], ['p99 by hand', p99?.baseline],
    ];
    return [contender.name, Object.fromEntries(columns.map(([column, value]) => [column, value ?? Number.NaN]))];
  }));

/** The first tenth warms up and is not counted. */
async function measureRates(contenders: readonly Contender[], results: readonly Measured[]): Promise<void> {
  const sample = changeSample(BATCH * BATCHES);
  const rate = async (publish: (from: number) => Promise<void>): Promise<number> =>
    (BATCH * BATCHES * 1_000) / (await msOf(async () => {
      for (let batch = 0; batch < BATCHES; batch += 1) await publish(batch * BATCH);
    }));
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const [at, { bus, raw }] of contenders.entries()) {
      const measured = { ours: 0, raw: 0 };
      const both = [
        async () => void (measured.ours = await rate((from) => bus.publish(sample.topic, sample.events.slice(from, from + BATCH)))),
        async () => void (measured.raw = await rate((from) => raw.publish(sample.plain.slice(from, from + BATCH)))),
      ];
      for (const measure of turn % 2 === 0 ? both : both.toReversed()) await measure();
      if (turn < TURNS / 10) continue;
      results[at]?.ours.rates.push(measured.ours);
      results[at]?.raw.rates.push(measured.raw);
      results[at]?.rateRatios.push(measured.ours / measured.raw);
    }
  }
}

/** The first round warms up and is not counted. `ratio`: the median of the rounds' ratios to the loop by hand. */
export async function benchEngines(): Promise<BenchRow[]> {
  const contenders = await openContenders();
  const quiet = changeSample(SINGLES);
  const arrivals = contenders.map(() => ({ ours: createArrivals(), raw: createArrivals() }));
  const results = contenders.map((): Measured => ({ ours: { rates: [], times: [] }, raw: { rates: [], times: [] }, rateRatios: [], timeRatios: [] }));
  console.table(Object.fromEntries(contenders.flatMap(({ name, bus }) => (bus.features ? [[name, bus.features]] : []))));
  try {
    await measureRates(contenders, results);
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
    console.table(besideEachOther(contenders, results));
    return contenders.flatMap((contender, at) => (results[at] ? rowsOf(contender, results[at]) : []));
  } finally {
    for (const { bus, raw } of contenders) {
      await bus.close();
      await raw.close();
    }
  }
}
