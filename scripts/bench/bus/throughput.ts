import type { Topic } from '@millrace/bus';
import { alternate, median, row } from '../support/measure.ts';
import type { BenchRow, Pairs } from '../support/measure.ts';
import { GROUP, addPlain, plainPayload, readPlain, within } from './lane.ts';
import type { Lane } from './lane.ts';

const PUBLISH_BATCH = 500;
const READ_BATCH = 100;
const CONSUMED = 20_000;
/** Slow: fewer give the same rate. */
const CONSUMED_ONE_BY_ONE = 3_000;
const PAIRS_ONE_BY_ONE = 9;

/** Events a second of batches that are appended one after the other. */
async function publishRate(count: number, publish: (from: number, to: number) => Promise<void>): Promise<number> {
  const startMs = performance.now();
  for (let from = 0; from < count; from += PUBLISH_BATCH) await publish(from, from + PUBLISH_BATCH);
  return count / ((performance.now() - startMs) / 1_000);
}

export async function publishByBus<T extends Topic>({ bus, topic, events, reset }: Lane<T>): Promise<number> {
  const rate = await publishRate(events.length, (from, to) => bus.publish(topic, events.slice(from, to)));
  await reset();
  return rate;
}

async function publishPlainly<T extends Topic>({ redis, stream, plain, reset }: Lane<T>): Promise<number> {
  const rate = await publishRate(plain.length, (from, to) => addPlain(redis, stream, plain.slice(from, to)));
  await reset();
  return rate;
}

/** Messages a second from the first batch in the handler to the last: connecting and making the group are not the loop, and both ends of the count are the same point of the loop. */
export function createRateMeter(expected: number): { readonly rate: Promise<number>; add(count: number): void } {
  const { promise, resolve } = Promise.withResolvers<number>();
  let [seen, first, startMs] = [0, 0, 0];
  return {
    rate: promise,
    add(count) {
      if (seen === 0) {
        startMs = performance.now();
        first = count;
      }
      seen += count;
      if (seen >= expected) resolve((seen - first) / ((performance.now() - startMs) / 1_000));
    },
  };
}

async function fill<T extends Topic>({ redis, stream, plain }: Lane<T>, count: number): Promise<void> {
  for (let done = 0; done < count; done += PUBLISH_BATCH) {
    const from = done % plain.length;
    await addPlain(redis, stream, plain.slice(from, from + Math.min(PUBLISH_BATCH, count - done)));
  }
}

export async function consumeByBus<T extends Topic>(lane: Lane<T>): Promise<number> {
  await fill(lane, CONSUMED);
  const meter = createRateMeter(CONSUMED);
  const subscription = await lane.bus.subscribe(lane.topic, { group: GROUP, batchSize: READ_BATCH }, async (events) => meter.add(events.length));
  const rate = await within(120, 'the bus', meter.rate);
  await subscription.close();
  await lane.reset();
  return rate;
}

/**
 * The loop that everybody writes first, on one connection: read, JSON.parse, acknowledge, without a schema check or a way to fail. Batches are
 * acknowledged in one command that is not awaited, so that it travels with the next read; one by one each acknowledgement is awaited.
 */
async function consumePlainly<T extends Topic>(lane: Lane<T>, count: number, batch: number): Promise<number> {
  const { redis, stream } = lane;
  await fill(lane, count);
  await redis.xgroup('CREATE', stream, GROUP, '0');
  const meter = createRateMeter(count);
  const handle = async (payloads: readonly unknown[]): Promise<void> => meter.add(payloads.length);
  const acknowledgements: Promise<number>[] = [];
  for (let seen = 0; seen < count; ) {
    const entries = await readPlain(redis.xreadgroup('GROUP', GROUP, 'plain', 'COUNT', batch, 'BLOCK', 2_000, 'STREAMS', stream, '>'));
    await handle(entries.map(([, fields]) => plainPayload(fields)));
    const acknowledged = redis.xack(stream, GROUP, ...entries.map(([id]) => id));
    if (batch === 1) await acknowledged;
    else acknowledgements.push(acknowledged);
    seen += entries.length;
  }
  await Promise.all(acknowledgements);
  await lane.reset();
  return meter.rate;
}

/** Once each to warm up, then the pairs. */
async function inPairs(pairs: number, ours: () => Promise<number>, other: () => Promise<number>): Promise<Pairs> {
  await ours();
  await other();
  return alternate(pairs, ours, other);
}

export interface BatchOptions {
  readonly name: string;
  readonly pairs: number;
  /** Floors of the ratios. */
  readonly publishAtLeast?: number;
  readonly consumeAtLeast?: number;
}

const summaryOf = ({ a, b, ratio }: Pairs, unit: string, atLeast: number | undefined) =>
  [median(a), { unit, baseline: median(b), ratio, ...(atLeast === undefined ? {} : { ratioAtLeast: atLeast }) }] as const;

/** Publishing and consuming in batches against the same loops without the library. */
export async function benchBatches<T extends Topic>(lane: Lane<T>, { name, pairs, publishAtLeast, consumeAtLeast }: BatchOptions): Promise<BenchRow[]> {
  const published = await inPairs(pairs, () => publishByBus(lane), () => publishPlainly(lane));
  const consumed = await inPairs(pairs, () => consumeByBus(lane), () => consumePlainly(lane, CONSUMED, READ_BATCH));
  return [
    row(`publish ${PUBLISH_BATCH} at a time, ${name}, against pipelined XADD`, ...summaryOf(published, 'events/s', publishAtLeast)),
    row(`consume ${READ_BATCH} at a time, ${name}, against XREADGROUP + XACK`, ...summaryOf(consumed, 'messages/s', consumeAtLeast)),
  ];
}

export async function benchOneByOne<T extends Topic>(lane: Lane<T>): Promise<BenchRow> {
  const pairs = await inPairs(PAIRS_ONE_BY_ONE, () => consumeByBus(lane), () => consumePlainly(lane, CONSUMED_ONE_BY_ONE, 1));
  return row(`consume ${READ_BATCH} at a time, against one by one`, ...summaryOf(pairs, 'messages/s', 8));
}
