import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { decodeEntry, defineTopic, encodeEvent, isUnavailable, latestByKey, SinkUnavailableError } from '../src/index.ts';
import { duplicate, shuffle } from '../src/testing.ts';

const topic = defineTopic(
  'product:updates',
  { update: z.object({ version: z.int(), sku: z.string(), name: z.string() }), delete: z.object({ version: z.int(), sku: z.string() }) },
  {
    schemaVersion: 2,
    keyField: 'product_id',
    keyOf: (event) => event.sku,
    versionOf: (event) => event.version,
    toData: (event) => (event.type === 'delete' ? { id: event.sku } : { name: event.name }),
    fromData: (_type, data, fields) => ({ ...z.looseObject({}).parse(data), version: Number(fields['version']), sku: fields['product_id'] }),
  },
);
const meta = { id: 'e1', timestamp: '2026-11-21T10:00:00Z' };
const wire = (fields: Record<string, string>) => decodeEntry(topic, { id: '1790000000000-3', fields: Object.entries(fields).flat() });
const valid = { event_type: 'update', product_id: 'a', timestamp: meta.timestamp, data: '{"name":"x"}', id: 'e1', version: '4', schema: '2' };

describe('encodeEvent', () => {
  it('writes the documented fields in their order, without those that are empty', () => {
    expect(encodeEvent(topic, { type: 'update', version: 4, sku: 'a', name: 'x', meta })).toEqual(Object.entries(valid).flat());
    expect(encodeEvent(topic, { type: 'delete', version: 5, sku: 'a', meta: { ...meta, traceparent: '00-1-2-01' } })).toEqual([
      'event_type', 'delete', 'product_id', 'a', 'timestamp', meta.timestamp, 'data', '{"id":"a"}', 'id', 'e1', 'version', '5', 'traceparent', '00-1-2-01', 'schema', '2',
    ]);
  });

  it('refuses a payload that its own schema refuses, and a type that the topic does not have', () => {
    const wrong: unknown = { type: 'update', version: 'four', sku: 'a', name: 'x' };
    expect(() => encodeEvent(topic, Object(wrong))).toThrow('expected number');
    expect(() => encodeEvent(topic, Object({ type: 'explode' }))).toThrow('no event type "explode"');
  });
});

describe('decodeEntry', () => {
  it('gives back what was encoded', () => {
    const event = { type: 'update' as const, version: 4, sku: 'a', name: 'x' };
    const decoded = decodeEntry(topic, { id: '1-1', fields: encodeEvent(topic, { ...event, meta }) });
    expect(decoded).toEqual({ kind: 'event', event: { ...event, meta: { ...meta, schema: 2, streamId: '1-1' } } });
  });

  it('reads entries of other producers, which may lack id, timestamp and schema', () => {
    expect(wire({ event_type: 'update', product_id: 'a', data: '{"name":"x"}', version: '4' })).toMatchObject({
      kind: 'event', event: { meta: { id: 'product:updates/a/1790000000000-3', timestamp: '2026-09-21T14:13:20.000Z', schema: 1 } },
    });
  });

  it.each([
    { name: 'acknowledges a heartbeat', fields: { event_type: 'heartbeat', timestamp: 't', id: 'x', schema: '9' }, kind: { kind: 'heartbeat', timestamp: 't' } },
    { name: 'skips a type that it does not know', fields: { ...valid, event_type: 'archive' }, kind: { kind: 'skip', type: 'archive' } },
    { name: 'skips a type named like a member of every object', fields: { ...valid, event_type: 'constructor' }, kind: { kind: 'skip' } },
    { name: 'parks a newer schema version', fields: { ...valid, schema: '3' }, kind: { kind: 'park', reason: 'newer schema version 3' } },
    { name: 'parks a newer schema version of a type that it does not know', fields: { ...valid, schema: '3', event_type: 'archive' }, kind: { kind: 'park' } },
    { name: 'parks broken JSON', fields: { ...valid, data: '{' }, kind: { kind: 'park', reason: 'unparsable: data is not JSON' } },
    { name: 'parks a payload of another shape, naming the field and never its value', fields: { ...valid, data: '{"name":5}' }, kind: { kind: 'park', reason: 'unparsable: payload does not match its schema at name' } },
    { name: 'parks an entry without a type', fields: { hello: 'world' }, kind: { kind: 'park', reason: 'unparsable: no event_type' } },
    { name: 'parks a schema that is not a number', fields: { ...valid, schema: 'two' }, kind: { kind: 'park' } },
  ])('$name', ({ fields, kind }) => {
    expect(wire(fields)).toMatchObject(kind);
  });
});

describe('latestByKey', () => {
  const event = (sku: string, version: number) => ({ type: 'delete' as const, sku, version, meta: { ...meta, schema: 2 } });

  it('keeps the highest version of each key, in whatever order they came, duplicates included', () => {
    const events = [event('a', 3), event('b', 1), event('a', 2), event('a', 3)];
    expect(latestByKey(topic, events)).toEqual([event('b', 1), event('a', 3)]);
  });

  it('is the same for a shuffled and a duplicated batch', async () => {
    const stored: number[][] = [];
    const handle = async (events: readonly ReturnType<typeof event>[]) => void stored.push(latestByKey(topic, events).map(({ version }) => version).toSorted((a, b) => a - b));
    const events = [event('a', 1), event('b', 5), event('a', 4), event('b', 2)];
    await duplicate(shuffle()(handle))(events);
    expect(stored).toEqual([[4, 5], [4, 5]]);
  });
});

describe('isUnavailable', () => {
  it.each([
    { name: 'an unavailable sink', error: new SinkUnavailableError('x'), is: true },
    { name: 'a refused connection', error: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), is: true },
    { name: 'one that was caused by it', error: new Error('x', { cause: new Error('y', { cause: Object.assign(new Error('z'), { code: 'ECONNRESET' }) }) }), is: true },
    { name: 'a timeout of a request', error: new DOMException('x', 'TimeoutError'), is: true },
    { name: 'headers that never came', error: new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'UND_ERR_HEADERS_TIMEOUT' }) }), is: true },
    { name: 'a database connection that broke', error: new Error('Connection terminated unexpectedly'), is: true },
    { name: 'a database whose connections are all in use', error: new Error('timeout exceeded when trying to connect'), is: true },
    { name: 'a broken event', error: new TypeError('x'), is: false },
    { name: 'something that is no error', error: 'x', is: false },
  ])('tells $name', ({ error, is }) => {
    expect(isUnavailable(error)).toBe(is);
  });
});

describe('what throws while it is read', () => {
  const thrower = (): never => {
    throw new Error('a bug in a schema');
  };
  it.each([
    { name: 'a schema', topic: defineTopic('t', { made: z.string().transform(thrower) }, { schemaVersion: 1, keyOf: () => 'k' }), reason: 'unparsable: its schema failed on it' },
    { name: 'keyOf', topic: defineTopic('t', { made: z.looseObject({}) }, { schemaVersion: 1, keyOf: thrower }), reason: 'unparsable: its key cannot be read' },
  ])('$name: the entry is parked, and its partition goes on', ({ topic: broken, reason }) => {
    const data = broken.payloads['made'] instanceof z.ZodObject ? '{}' : '"text"';
    expect(decodeEntry(broken, { id: '1-0', fields: ['event_type', 'made', 'data', data] })).toEqual({ kind: 'park', reason });
  });
});

describe('upcasters', () => {
  const current = defineTopic('t', { priced: z.object({ sku: z.string(), minor: z.int(), currency: z.string() }) }, {
    schemaVersion: 3,
    keyOf: (event) => event.sku,
    upcasters: {
      1: ({ data, fields }) => ({ type: 'priced', data: { ...z.object({ price: z.number() }).parse(data), sku: fields['key'] } }),
      2: ({ type, data }) => {
        const { price, ...rest } = z.looseObject({ price: z.number() }).parse(data);
        return { type, data: { ...rest, minor: Math.round(price * 100), currency: 'USD' } };
      },
    },
  });
  const decode = (fields: Record<string, string>) => decodeEntry(current, { id: '1-0', fields: Object.entries({ key: 'a', id: 'e', timestamp: meta.timestamp, ...fields }).flat() });

  it.each([
    { name: 'one version back', fields: { event_type: 'priced', schema: '2', data: '{"sku":"a","price":1.5}' } },
    { name: 'two versions back, under an older name', fields: { event_type: 'price_set', schema: '1', data: '{"price":1.5}' } },
    { name: 'the current version, untouched', fields: { event_type: 'priced', schema: '3', data: '{"sku":"a","minor":150,"currency":"USD"}' } },
  ])('bring an event of $name to the current schema', ({ fields }) => {
    expect(decode(fields)).toMatchObject({ kind: 'event', event: { type: 'priced', sku: 'a', minor: 150, currency: 'USD', meta: { id: 'e', schema: Number(fields.schema) } } });
  });

  it.each([
    { name: 'what an upcaster fails on', fields: { event_type: 'priced', schema: '2', data: '{"price":"x"}' }, reason: 'unparsable: its upcaster of schema version 2 failed' },
    { name: 'what does not fit after them', fields: { event_type: 'priced', schema: '2', data: '{"price":1}' }, reason: 'unparsable: payload does not match its schema at sku' },
    { name: 'a newer version', fields: { event_type: 'priced', schema: '4', data: '{}' }, reason: 'newer schema version 4' },
  ])('park $name', ({ fields, reason }) => {
    expect(decode(fields)).toEqual({ kind: 'park', reason });
  });

  it('skip an event type that nobody knows, also after them', () => {
    expect(decode({ event_type: 'renamed', schema: '3', data: '{}' })).toEqual({ kind: 'skip', type: 'renamed' });
    expect(decode({ event_type: 'renamed', schema: '2', data: '{"price":1}' })).toEqual({ kind: 'skip', type: 'renamed' });
  });
});
