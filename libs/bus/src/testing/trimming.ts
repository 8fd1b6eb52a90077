import { afterEach, expect, it } from '@jest/globals';
import { eventually, startTunnel } from '@millrace/testing';
import type { Tunnel } from '@millrace/testing';
import { PartialFailureError, SinkUnavailableError } from '../errors.ts';
import type { ManagedBus } from '../managed-bus.ts';
import { BOOTSTRAP_LOCK_MS } from '../run-bootstrap.ts';
import type { ManagedFeatures } from './bus-under-test.ts';
import type { OpenManaged } from './ownership.ts';
import { createTestTopic, numbersOf, publishAll, upTo } from './test-topic.ts';
import type { TestTopic } from './test-topic.ts';

/** A group that has bootstrapped, has handled event 0, stood still, and was passed over by trimming: events 1 to 5 are gone. */
async function leavePassedOver(bus: ManagedBus, topic: TestTopic): Promise<void> {
  const subscription = await bus.subscribe(topic, { group: 'g', onGroupCreated: async () => undefined }, async () => undefined);
  await publishAll(bus, topic, 1);
  await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
  await subscription.close();
  await publishAll(bus, topic, 5, 1);
  await eventually(async () => (await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 0 })) >= 5);
}

/** What trimming removes, and what it keeps. */
export function describeTrimming(open: OpenManaged, { server }: ManagedFeatures): void {
  const tunnels: Tunnel[] = [];
  // Behind the buses, which close through them.
  afterEach(() => {
    for (const tunnel of tunnels.splice(0)) tunnel.close();
  });

  it('trims what every group has acknowledged and nothing else, and leaves a topic without groups alone', async () => {
    const bus = await open();
    const topic = createTestTopic();
    await publishAll(bus, topic, 30);
    expect(await bus.trimAcknowledged(topic, { keep: 0 })).toBe(0);
    const subscription = await bus.subscribe(topic, { group: 'fast' }, async () => undefined);
    await eventually(async () => (await bus.lag(topic, 'fast')).messages === 0);
    const slow = await bus.subscribe(topic, { group: 'slow', batchSize: 10 }, async (events) => {
      if (events.some(({ n }) => n >= 20)) throw Object.assign(new Error('away'), { code: 'unavailable' });
    });
    await eventually(async () => (await bus.lag(topic, 'slow')).messages === 10);
    expect(await bus.trimAcknowledged(topic, { keep: 15 })).toBe(15);
    expect(await bus.trimAcknowledged(topic, { keep: 0 })).toBe(5);
    expect((await bus.lag(topic, 'slow')).messages).toBe(10);
    await Promise.all([subscription.close(), slow.close()]);
  });

  it('passes over a group that can bootstrap and stands still, which bootstraps before its next event', async () => {
    const bus = await open();
    const topic = createTestTopic();
    const log: string[] = [];
    const options = { group: 'g', onGroupCreated: async () => void log.push('export') };
    const first = await bus.subscribe(topic, options, async (events) => void log.push(...events.map(({ n }) => `event ${n}`)));
    await publishAll(bus, topic, 1);
    await eventually(() => log.includes('event 0'));
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    await first.close();
    await publishAll(bus, topic, 5, 1);
    await eventually(async () => (await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 50 })) >= 5, { everyMs: 30 });
    await publishAll(bus, topic, 1, 6);
    await bus.subscribe(topic, options, async (events) => void log.push(...events.map(({ n }) => `event ${n}`)));
    await eventually(() => log.includes('event 6'));
    expect(log).toEqual(['export', 'event 0', 'export', 'event 6']);
  });

  it('passes over no group that goes on while a single entry waits for its part of the sink', async () => {
    const bus = await open();
    const topic = createTestTopic();
    const seen: number[] = [];
    let exports = 0;
    await bus.subscribe(topic, { group: 'g', onGroupCreated: async () => void (exports += 1) }, async (events) => {
      const waiting = events.filter(({ n }) => n === 0);
      seen.push(...numbersOf(events.filter(({ n }) => n !== 0)));
      if (waiting.length > 0) throw new PartialFailureError(new Map(waiting.map(({ meta }) => [meta.streamId ?? '', new SinkUnavailableError('away')])));
    });
    const stalledMs = 3_000;
    const over = performance.now() + 1.5 * stalledMs;
    for (let n = 0; performance.now() < over; n += 1) {
      await publishAll(bus, topic, 1, n);
      await eventually(async () => (n === 0 || seen.includes(n)) && (await bus.lag(topic, 'g')).messages === 1);
      await bus.trimAcknowledged(topic, { keep: 0, stalledMs });
    }
    expect([exports, (await bus.lag(topic, 'g')).messages]).toEqual([1, 1]);
  });

  it('keeps what a passed-over group will read that bootstraps now', async () => {
    const bus = await open();
    const topic = createTestTopic();
    await leavePassedOver(bus, topic);
    const log: string[] = [];
    const exported = Promise.withResolvers<undefined>();
    const onGroupCreated = async (): Promise<void> => {
      log.push('export');
      await exported.promise;
    };
    await bus.subscribe(topic, { group: 'g', onGroupCreated }, async (events) => void log.push(...events.map(({ n }) => `event ${n}`)));
    await eventually(() => log.includes('export'));
    await publishAll(bus, topic, 5, 6);
    for (let round = 0; round < 5; round += 1) expect(await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 0 })).toBe(0);
    exported.resolve(undefined);
    await eventually(() => log.length === 6);
    expect(log).toEqual(['export', ...upTo(5).map((n) => `event ${6 + n}`)]);
  });

  (server === undefined ? it.skip : it)('keeps nothing for ever for a group whose bootstrap was killed', async () => {
    const tunnel = await startTunnel(server ?? '');
    tunnels.push(tunnel);
    const [bus, killed] = [await open(), await open(tunnel.url)];
    const topic = createTestTopic();
    await leavePassedOver(bus, topic);
    const hasBegun = Promise.withResolvers<undefined>();
    const onGroupCreated = async (): Promise<void> => {
      hasBegun.resolve(undefined);
      await new Promise(() => undefined);
    };
    await killed.subscribe(topic, { group: 'g', onGroupCreated }, async () => undefined);
    await hasBegun.promise;
    await publishAll(bus, topic, 5, 6);
    expect(await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 0 })).toBe(0);
    // Its server hears no more of it.
    tunnel.drop(true);
    const removed = async (): Promise<number | undefined> => (await bus.trimAcknowledged(topic, { keep: 0, stalledMs: 0 })) || undefined;
    expect(await eventually(removed, { timeoutMs: 3 * BOOTSTRAP_LOCK_MS, everyMs: 100 }).finally(() => tunnel.drop(false))).toBe(5);
  }, 5 * BOOTSTRAP_LOCK_MS);
}
