import { describe, expect, it } from '@jest/globals';
import { createMemoryBus } from '@millrace/bus';
import type { EventPublisher } from '@millrace/bus';
import { searches } from '@millrace/contracts';
import type { SearchEvent } from '@millrace/contracts';
import { createLogger, createMetrics, createPseudonym } from '@millrace/service';
import { eventually, mustEnd } from '@millrace/testing';
import { maskQuery } from '../src/mask-query.ts';
import { createSearchLog } from '../src/search-log.ts';
import type { ExecutedSearch } from '../src/search-log.ts';

describe('a query that is kept', () => {
  it.each([
    ['wireless  headphones\n', 'wireless headphones'],
    ['tai nghe không dây', 'tai nghe không dây'],
    ['mail linh.tran@example.com please', 'mail [email] please'],
    ['ｌｉｎｈ＠example.com', '[email]'],
    ['@linh', '[email]'],
    ['speakers @ home', 'speakers [email] home'],
    ['mail linh.tran @ example.com please', 'mail [email] please'],
    ['linh%40example.com', '[email]'],
    ['0901234567', '[number]'],
    ['call +84 (90) 123-45-67 now', 'call [number] now'],
    ['090.123.4567', '[number]'],
    ['090–123–4567', '[number]'],
    ['090\u2011123\u20114567', '[number]'],
    ['090,123,4567', '[number]'],
    ['090_123_4567', '[number]'],
    ['090·123·4567', '[number]'],
    ['090 -- 123 -- 4567', '[number]'],
    ['4111 1111 1111 1111', '[number]'],
    ['٠٩٠١٢٣٤٥٦٧', '[number]'],
    ['8930000000017', '[number]'],
    ['iphone 15 pro 256', 'iphone 15 pro 256'],
    ['WH-1000XM4', 'WH-1000XM4'],
    ['1080p 2160p 4k', '1080p 2160p 4k'],
    ['a\0b\u200Bc', 'a b c'],
    ['', ''],
  ])('%j is %j', (typed, kept) => {
    expect(maskQuery(typed)).toBe(kept);
  });
  it('is at most 200 characters and never half of one', () => {
    const kept = maskQuery(`${'x'.repeat(199)}😀`);
    expect([kept.length <= 200, kept.isWellFormed()]).toEqual([true, true]);
  });
  it.each(['1', '1 ', 'a', '@', '(1', '1-.', '++', '((', ' @', '@a'])('takes no square of its length to be made, whatever was typed: many of %j', (piece) => {
    expect(() => mustEnd(() => void maskQuery(piece.repeat(500_000)))).not.toThrow();
  });
});

const search = (over: Partial<ExecutedSearch> = {}): ExecutedSearch => ({ query: 'lamp', filters: { currency: 'USD', sort: 'relevance' }, hits: 3, ms: 1.5, user: undefined, degraded: false, traceparent: undefined, ...over });
const logger = createLogger('test', 'silent');

function open(bus: EventPublisher, options: { capacity?: number; everyMs?: number; secret?: string | undefined } = {}) {
  const metrics = createMetrics('test');
  const { capacity = 10, everyMs = 5, secret } = options;
  const log = createSearchLog({ bus, pseudonym: secret === undefined ? undefined : createPseudonym(secret), logger, metrics, everyMs, capacity });
  const dropped = async () => Object.fromEntries(((await metrics.getSingleMetric('search_log_dropped_total')?.get())?.values ?? []).map(({ labels, value }) => [String(labels['reason']), value]));
  return { log, dropped };
}

async function listen(): Promise<{ bus: ReturnType<typeof createMemoryBus>; seen: SearchEvent[] }> {
  const bus = createMemoryBus();
  const seen: SearchEvent[] = [];
  await bus.subscribe(searches, { group: 'g' }, async (events) => void seen.push(...events));
  return { bus, seen };
}

describe('the search log', () => {
  it('publishes what was searched, masked, with its trace', async () => {
    const { bus, seen } = await listen();
    const { log } = open(bus);
    log.record(search({ query: 'me@x.org', filters: { currency: 'VND', sort: 'newest', brand: '0901234567', category: 'a@b' }, traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' }));
    await eventually(() => seen.length === 1);
    expect(seen[0]).toMatchObject({ type: 'executed', query: '[email]', filters: { currency: 'VND', sort: 'newest', brand: '[number]', category: '[email]' }, hits: 3, ms: 1.5, user: null, degraded: false, meta: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' } });
    await log.close();
    await bus.close();
  });
  it('names a user by one pseudonym for each secret, and never by the id', async () => {
    const { bus, seen } = await listen();
    const first = open(bus, { secret: 'a'.repeat(32) });
    first.log.record(search({ user: 'customer-81' }));
    first.log.record(search({ user: 'customer-81' }));
    first.log.record(search({ user: 'customer-82' }));
    await first.log.close();
    const other = open(bus, { secret: 'b'.repeat(32) });
    other.log.record(search({ user: 'customer-81' }));
    await other.log.close();
    const without = open(bus);
    without.log.record(search({ user: 'customer-81' }));
    await without.log.close();
    await eventually(() => seen.length === 5);
    const [a, again, b, elsewhere, none] = seen.map(({ user }) => user);
    expect([a, again === a, b === a, elsewhere === a, none]).toEqual([expect.stringMatching(/^u_[\w-]{22}$/), true, false, false, null]);
    expect(JSON.stringify(seen)).not.toContain('customer');
    await bus.close();
  });
  it('keeps what cannot be published yet, in order, and drops and counts what is over its capacity', async () => {
    const { bus, seen } = await listen();
    let isDown = true;
    const flaky: EventPublisher = { publish: (topic, events) => (isDown ? Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' })) : bus.publish(topic, events)) };
    const { log, dropped } = open(flaky, { capacity: 10, everyMs: 60_000 });
    for (let n = 0; n < 12; n += 1) log.record(search({ hits: n }));
    expect(await dropped()).toEqual({ full: 2 });
    isDown = false;
    await log.close();
    await eventually(() => seen.length === 10);
    expect(seen.map(({ hits }) => hits)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await bus.close();
  });
  it('publishes an entry under the same id when the first try failed', async () => {
    const ids: unknown[] = [];
    const { log } = open({ publish: async (_topic, events) => {
      ids.push(events[0]?.meta?.id);
      if (ids.length === 1) throw Object.assign(new Error('unclear'), { code: 'ECONNRESET' });
    } });
    log.record(search());
    await eventually(() => ids.length === 2);
    expect(ids[1]).toBe(ids[0]);
    await log.close();
  });
  it('counts what is left when it closes while Redis is away, and does not wait for it', async () => {
    const { log, dropped } = open({ publish: () => Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' })) }, { everyMs: 60_000 });
    log.record(search());
    log.record(search());
    await log.close();
    expect(await dropped()).toEqual({ closed: 2 });
  });
  it('drops and counts what the bus refuses for good, and goes on', async () => {
    const { bus, seen } = await listen();
    let calls = 0;
    const { log, dropped } = open({ publish: (topic, events) => ((calls += 1) === 1 ? Promise.reject(new TypeError('a bug')) : bus.publish(topic, events)) }, { everyMs: 60_000 });
    log.record(search({ hits: 1 }));
    await log.close();
    expect([await dropped(), seen]).toEqual([{ refused: 1 }, []]);
    await bus.close();
  });
});
