import { expect, it } from '@jest/globals';
import { eventually, uniqueName } from '@millrace/testing';
import { z } from 'zod';
import type { BusAdmin } from '../admin/bus-admin.ts';
import type { ManagedBus } from '../managed-bus.ts';
import { encodeWireEvent } from '../codec.ts';
import { defineTopic } from '../topic.ts';
import type { ManagedFeatures } from './bus-under-test.ts';
import { createRepeatingTopic, tick } from './repeating.ts';
import { createTestTopic, numbersOf, publishAll, upTo } from './test-topic.ts';
import type { TestTopic } from './test-topic.ts';
import { describeTrimming } from './trimming.ts';

/** At another address of its broker, if given. */
export type OpenManaged = (url?: string) => Promise<ManagedBus>;

const isOf = (key: string) => (fields: ReadonlyMap<string, string>): boolean => fields.get('key') === key;
const lengthOf = async (admin: BusAdmin): Promise<number> => (await admin.topics())[0]?.streams[0]?.length ?? -1;

/** A group that parks number 3 of ten, and acknowledges the rest. */
async function parkOne(bus: ManagedBus, topic: TestTopic): Promise<{ close(): Promise<void> }> {
  await publishAll(bus, topic, 10);
  const subscription = await bus.subscribe(topic, { group: 'g' }, async (events) => {
    if (events.some(({ n }) => n === 3)) throw new Error('three is bad');
  });
  await eventually(async () => (await bus.lag(topic, 'g')).messages === 0 && (await bus.lag(topic, 'g')).deadLetters === 1);
  return subscription;
}

/** What a topic's owner and an operator do. */
export function describeOwnership(open: OpenManaged, features: ManagedFeatures): void {
  describeTrimming(open, features);
  describeLetters(open);
  describeErasing(open);

  it('tells how far a group is: what waits, for how long, and what is parked', async () => {
    const bus = await open();
    const topic = createTestTopic();
    expect(await bus.lag(topic, 'nobody')).toEqual({ messages: 0, oldestAgeMs: 0, deadLetters: 0 });
    await (await parkOne(bus, topic)).close();
    await publishAll(bus, topic, 5, 10);
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 5);
    expect((await bus.lag(topic, 'g')).deadLetters).toBe(1);
    await eventually(async () => (await bus.lag(topic, 'another')).messages === 15);
    await eventually(async () => (await bus.lag(topic, 'g')).oldestAgeMs > 0);
  });

  it('says where a topic ends, and when a group has passed that', async () => {
    const bus = await open();
    const topic = createTestTopic();
    expect(await bus.hasPassed('g', await bus.ends(topic))).toBe(true);
    await publishAll(bus, topic, 10);
    const ends = await bus.ends(topic);
    expect(Object.values(ends)).toEqual([expect.stringMatching(/^\d+-\d+$/)]);
    expect(await bus.hasPassed('g', ends)).toBe(false);
    await bus.subscribe(topic, { group: 'g' }, async () => undefined);
    await eventually(() => bus.hasPassed('g', ends));
    expect((await bus.layout(topic)).current).toEqual({ first: 0, count: 1 });
  });

  it('sends nothing more of an append that its relay has given up, and the next one comes behind what was sent', async () => {
    const bus = await open();
    const { durable } = bus;
    // The streams of Redis have the relay's fences for this.
    if (!durable) return expect(bus.features.engine).toBe('redis');
    const topic = createTestTopic();
    const wire = upTo(5_000).map((n) => encodeWireEvent(topic, { type: 'created', key: 'k', n }));
    const relay = new AbortController();
    const appending = durable.append(topic, wire, { signal: relay.signal });
    relay.abort(new Error('the time is up'));
    await expect(appending).rejects.toThrow('the time is up');
    const [sent, next] = [await durable.lastNumber(topic), await durable.append(topic, wire.slice(0, 10))];
    expect(sent).toBeLessThanOrEqual(1_000);
    expect(next).toBe(sent + 10);
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === next);
    expect(seen).toEqual([...upTo(sent), ...upTo(10)]);
  });

  it('keeps a capped topic at about its length', async () => {
    const bus = await open();
    const topic = defineTopic(uniqueName('capped'), { tick: z.object({ n: z.int() }) }, { schemaVersion: 1, maxLength: 100, keyOf: ({ n }) => String(n) });
    for (let batch = 0; batch < 10; batch += 1) await bus.publish(topic, Array.from({ length: 100 }, (_, n) => ({ type: 'tick' as const, n: batch * 100 + n })));
    const length = await lengthOf(bus.admin([topic]));
    expect(length).toBeGreaterThanOrEqual(100);
    expect(length).toBeLessThan(400);
  });

  it('answers a ping', async () => {
    await expect((await open()).ping()).resolves.toBeUndefined();
  });
}

function describeLetters(open: OpenManaged): void {
  it('lists dead letters with their reason, and replays one to every group under its own id', async () => {
    const bus = await open();
    const topic = createTestTopic();
    const subscription = await parkOne(bus, topic);
    await subscription.close();
    const admin = bus.admin([topic]);
    const { items: [letter] } = await admin.listDeadLetters({ topic: topic.name, reason: 'THREE' }, { limit: 10 });
    expect(letter).toMatchObject({ topic: topic.name, group: 'g', partition: 0, reason: 'Error: three is bad', key: 'k3', eventType: 'created', attempts: 5 });
    expect(await admin.getDeadLetter(letter?.id ?? '')).toMatchObject({ fields: { data: '{"key":"k3","n":3}' } });
    expect((await admin.listDeadLetters({ topic: topic.name, key: 'k4' }, { limit: 10 })).items).toEqual([]);
    expect(await admin.replayDeadLetters({ filter: { topic: topic.name } }, { dryRun: true })).toEqual({ count: 1, missing: [] });
    const seen: { n: number; id: string }[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...events.map(({ n, meta }) => ({ n, id: meta.id }))));
    expect(await admin.replayDeadLetters({ ids: [letter?.id ?? ''] })).toEqual({ count: 1, missing: [] });
    await eventually(() => seen.length === 1);
    expect(seen).toEqual([{ n: 3, id: letter?.eventId }]);
    expect(await admin.replayDeadLetters({ ids: [letter?.id ?? ''] })).toEqual({ count: 0, missing: [letter?.id] });
  });

  it('replays a dead letter whose id was published within dedupMs', async () => {
    const bus = await open();
    const topic = createRepeatingTopic(60_000);
    await bus.publish(topic, [tick(1)]);
    const handled: number[] = [];
    let isBroken = true;
    await bus.subscribe(topic, { group: 'g' }, async (events) => {
      if (isBroken) throw Object.assign(new Error('no'), { code: 'final' });
      handled.push(...events.map(({ n }) => n));
    });
    await eventually(async () => (await bus.lag(topic, 'g')).deadLetters === 1);
    isBroken = false;
    expect(await bus.admin([topic]).replayDeadLetters({ filter: { topic: topic.name } })).toEqual({ count: 1, missing: [] });
    await eventually(() => handled.length > 0);
    expect(handled).toEqual([1]);
  });

  it('takes an edited payload that its schema accepts, refuses another, and discards', async () => {
    const bus = await open();
    const topic = createTestTopic();
    await parkOne(bus, topic);
    const admin = bus.admin([topic]);
    const { items: [letter] } = await admin.listDeadLetters({}, { limit: 10 });
    await expect(admin.editDeadLetter(letter?.id ?? '', { key: 'k3' })).rejects.toMatchObject({ code: 'invalid', pointer: '/data' });
    const edited = await admin.editDeadLetter(letter?.id ?? '', { key: 'k3', n: 33 });
    expect(edited).toMatchObject({ eventId: letter?.eventId, fields: { data: '{"key":"k3","n":33}' } });
    await expect(admin.getDeadLetter(letter?.id ?? '')).rejects.toMatchObject({ code: 'not_found' });
    expect(await admin.discardDeadLetters({ filter: { group: 'g' } })).toEqual({ count: 1, missing: [] });
    expect((await bus.lag(topic, 'g')).deadLetters).toBe(0);
  });

  it('pages through dead letters', async () => {
    const bus = await open();
    const topic = createTestTopic();
    await publishAll(bus, topic, 7);
    await bus.subscribe(topic, { group: 'g' }, async () => { throw Object.assign(new Error('no'), { code: 'final' }); });
    await eventually(async () => (await bus.lag(topic, 'g')).deadLetters === 7);
    const admin = bus.admin([topic]);
    const keys: (string | undefined)[] = [];
    for (let cursor: string | undefined, isMore = true; isMore; isMore = cursor !== undefined) {
      const page = await admin.listDeadLetters({ topic: topic.name }, { limit: 3, ...(cursor !== undefined && { cursor }) });
      keys.push(...page.items.map(({ key }) => key));
      cursor = page.nextCursor;
    }
    expect(new Set(keys)).toEqual(new Set(upTo(7).map((n) => `k${n}`)));
    expect(keys).toHaveLength(7);
  });

  it('drops a group that nobody uses, with its dead letters if forced, and the next one of its name begins at the start', async () => {
    const bus = await open();
    const topic = createTestTopic();
    const subscription = await parkOne(bus, topic);
    const admin = bus.admin([topic]);
    await expect(admin.dropGroup('unknown')).rejects.toMatchObject({ code: 'not_found' });
    await expect(admin.dropGroup('g')).rejects.toMatchObject({ code: 'conflict' });
    await subscription.close();
    expect(await admin.dropGroup('g', { force: true })).toEqual([{ topic: topic.name, group: 'g', pending: 0, unread: 0 }]);
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(() => seen.length === 10);
    expect((await bus.lag(topic, 'g')).deadLetters).toBe(0);
  });

  it('parks an entry again that fails again in a group that was dropped and made anew', async () => {
    const bus = await open();
    const topic = createTestTopic();
    await (await parkOne(bus, topic)).close();
    await bus.admin([topic]).dropGroup('g', { force: true });
    await bus.subscribe(topic, { group: 'g' }, async (events) => {
      if (events.some(({ n }) => n === 3)) throw new Error('three is bad');
    });
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    expect((await bus.lag(topic, 'g')).deadLetters).toBe(1);
  });

  it('goes on with a group with an order that is dropped while it is in use, under a higher fencing token', async () => {
    const bus = await open();
    const topic = createTestTopic();
    const seen: { readonly n: number; readonly token: number }[] = [];
    await bus.subscribe(topic, { group: 'g', ordering: 'key' }, async (events, delivery) => void seen.push(...events.map(({ n }) => ({ n, token: delivery?.fencingToken ?? 0 }))));
    await publishAll(bus, topic, 1);
    await eventually(() => seen.length === 1);
    await bus.admin([topic]).dropGroup('g', { force: true });
    await publishAll(bus, topic, 1, 1);
    await eventually(() => seen.some(({ n }) => n === 1));
    const [first, last] = [seen[0], seen.at(-1)];
    expect(last?.n).toBe(1);
    expect(last?.token).toBeGreaterThanOrEqual(first?.token ?? Infinity);
  });

  it('shows the last entries of a key and what groups have done with them', async () => {
    const bus = await open();
    const topic = createTestTopic();
    await publishAll(bus, topic, 20);
    await bus.subscribe(topic, { group: 'g' }, async () => undefined);
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    const [trace] = await bus.admin([topic]).traceKey(topic.name, 'k3', 1);
    expect(trace).toMatchObject({ partition: 0, isComplete: false, entries: [{ eventType: 'created', version: 19, groups: [{ group: 'g', state: 'acknowledged' }] }] });
  });
}

function describeErasing(open: OpenManaged): void {
  it('erases entries once every group has acknowledged them, and those that are due if forced', async () => {
    const bus = await open();
    const topic = createTestTopic();
    await publishAll(bus, topic, 32);
    const subscription = await bus.subscribe(topic, { group: 'g' }, async () => undefined);
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    await subscription.close();
    await publishAll(bus, topic, 16, 32);
    expect(await bus.eraseEntries({ topic, isTheirs: isOf('k3'), isForced: false })).toEqual({ erased: 2, due: 1 });
    expect(await bus.eraseEntries({ topic, isTheirs: isOf('k3'), isForced: true })).toEqual({ erased: 1, due: 0 });
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0 && seen.length === 15);
    expect(seen).not.toContain(35);
  });

  it('erases dead letters by what their fields say', async () => {
    const bus = await open();
    const topic = createTestTopic();
    await parkOne(bus, topic);
    expect(await bus.eraseDeadLetters({ topic, isTheirs: isOf('k4'), groups: ['g', 'gone'] })).toBe(0);
    expect(await bus.eraseDeadLetters({ topic, isTheirs: isOf('k3'), groups: ['g', 'gone'] })).toBe(1);
    expect((await bus.lag(topic, 'g')).deadLetters).toBe(0);
  });
}
