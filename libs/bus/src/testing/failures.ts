import { expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import type { BatchHandler } from '../bus.ts';
import { FinalError, PartialFailureError, SinkUnavailableError } from '../errors.ts';
import type { Open } from './bus-under-test.ts';
import { isolateFailures } from '../middleware.ts';
import { duplicate, randomFail, shuffle } from './middleware.ts';
import { createTestTopic, numbersOf, publishAll, sorted, upTo } from './test-topic.ts';
import type { TestEvent } from './test-topic.ts';

/** Handlers that reject, sinks that are away, poison. */
export function describeFailures(open: Open): void {
  it('delivers an event again when its handler rejects', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const seen: number[] = [];
    let rejections = 2;
    await publishAll(bus, topic, 10);
    await bus.subscribe(topic, { group: 'g' }, async (events) => {
      if (rejections-- > 0) throw new Error('not yet');
      seen.push(...numbersOf(events));
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(sorted(seen)).toEqual(upTo(10));
  });

  it('parks at once what its handler declares final, and handles the neighbours once', async () => {
    const { bus, deadLetters } = await open();
    const topic = createTestTopic();
    const handlings: number[] = [];
    const done: number[] = [];
    await publishAll(bus, topic, 10);
    await bus.subscribe(topic, { group: 'g', batchSize: 10 }, async (events) => {
      const numbers = numbersOf(events);
      if (events.length === 1) handlings.push(...numbers);
      if (numbers.includes(4)) throw new Error('wrapped', { cause: new FinalError('never') });
      done.push(...numbers);
    });
    await eventually(() => done.length === 9);
    await eventually(async () => (await deadLetters(topic, 'g')).length === 1);
    expect(handlings.filter((n) => n === 4)).toEqual([4]);
    expect(done.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9]);
  });

  it('continues after errors: poison is parked after five handlings, its neighbours are done', async () => {
    const { bus, unacknowledged, deadLetters } = await open();
    const topic = createTestTopic();
    const handled: number[] = [];
    const attempts: number[] = [];
    await publishAll(bus, topic, 30);
    await bus.subscribe(topic, { group: 'g', batchSize: 10 }, async (events) => {
      if (events.some(({ n }) => n === 13)) {
        if (events.length === 1) attempts.push(13);
        throw new Error('number 13 cannot be handled');
      }
      handled.push(...numbersOf(events));
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(sorted(handled)).toEqual(upTo(30).filter((n) => n !== 13));
    expect(attempts).toHaveLength(4); // the batch was the first handling
    expect(await deadLetters(topic, 'g')).toEqual(['Error: number 13 cannot be handled']);
  });

  it('waits for a sink that is unavailable, however long, and parks nothing', async () => {
    const { bus, unacknowledged, deadLetters } = await open();
    const topic = createTestTopic();
    const seen: number[] = [];
    let calls = 0;
    await publishAll(bus, topic, 5);
    await bus.subscribe(topic, { group: 'g' }, async (events) => {
      calls += 1;
      if (calls <= 8) throw calls % 2 ? new SinkUnavailableError('down') : new Error('query failed', { cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) });
      seen.push(...numbersOf(events));
    });
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(seen).toEqual(upTo(5));
    expect(await deadLetters(topic, 'g')).toEqual([]);
  });

  it('keeps a slow handler\'s entries from the other consumers', async () => {
    const claimIdleMs = 3_000;
    const { bus, unacknowledged } = await open({ claimIdleMs });
    const topic = createTestTopic();
    const release = Promise.withResolvers<undefined>();
    const seen: number[] = [];
    let isSlow = true;
    const handle: BatchHandler<TestEvent> = async (events) => {
      seen.push(...numbersOf(events));
      if (!isSlow) return;
      isSlow = false;
      await release.promise;
    };
    await publishAll(bus, topic, 3);
    await bus.subscribe(topic, { group: 'g' }, handle);
    await eventually(() => seen.length === 3);
    const until = performance.now() + claimIdleMs * 2.2;
    // Long enough for several looks of the other consumers: they handle what is published, and take nothing over.
    const others = await Promise.all(upTo(4).map((n) => bus.subscribe(topic, { group: 'g', consumer: `another ${n}` }, handle)));
    let published = 3;
    for (; performance.now() < until; published += 1) {
      await publishAll(bus, topic, 1, published);
      await eventually(() => seen.includes(published), { everyMs: 50 });
    }
    expect(sorted(seen)).toEqual(upTo(published));
    expect(seen).toHaveLength(published);
    release.resolve(undefined);
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    await Promise.all(others.map((one) => one.close()));
    expect(seen).toHaveLength(published);
  });

  it('acknowledges the neighbours at once where the handler says which events failed', async () => {
    const { bus, unacknowledged, deadLetters } = await open();
    const topic = createTestTopic();
    const done: number[] = [];
    await publishAll(bus, topic, 30);
    const handle = isolateFailures<TestEvent>(async (events) => {
      if (events.some(({ n }) => n === 4 || n === 11)) throw new Error('not these');
      done.push(...numbersOf(events));
    });
    await bus.subscribe(topic, { group: 'g', batchSize: 10 }, handle);
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(done.toSorted((a, b) => a - b)).toEqual(upTo(30).filter((n) => n !== 4 && n !== 11));
    expect(await deadLetters(topic, 'g')).toEqual(['Error: not these', 'Error: not these']);
  });

  it('goes on with all other events while those that the handler names wait for a part of the sink, and parks none of them', async () => {
    const { bus, unacknowledged, deadLetters } = await open();
    const topic = createTestTopic();
    const done: number[] = [];
    let isAway = true;
    await publishAll(bus, topic, 100);
    await bus.subscribe(topic, { group: 'g', batchSize: 10 }, async (events) => {
      const waiting = events.filter(({ n }) => isAway && n < 60);
      done.push(...numbersOf(events.filter((event) => !waiting.includes(event))));
      if (waiting.length > 0) throw new PartialFailureError(new Map(waiting.map(({ meta }) => [meta.streamId ?? '', new SinkUnavailableError('away')])));
    });
    await eventually(() => done.length === 40);
    expect(sorted(done)).toEqual(upTo(100).slice(60));
    isAway = false;
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(sorted(done)).toEqual(upTo(100));
    expect(await deadLetters(topic, 'g')).toEqual([]);
  });

  it('has one effect for each event although handlings fail, repeat and come shuffled', async () => {
    const { bus, unacknowledged } = await open();
    const topic = createTestTopic();
    const effects = new Set<number>();
    const guarded: BatchHandler<TestEvent> = async (events) => {
      for (const n of numbersOf(events)) effects.add(n);
    };
    await publishAll(bus, topic, 300);
    for (let consumer = 0; consumer < 3; consumer += 1)
      await bus.subscribe(topic, { group: 'g', batchSize: 20 }, randomFail(0.1)(duplicate(shuffle()(guarded))));
    await eventually(async () => (await unacknowledged(topic, 'g')) === 0);
    expect(sorted(effects)).toEqual(upTo(300));
  });
}
