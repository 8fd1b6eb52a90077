import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';
import { encodeEvent, HEARTBEAT, wireFields } from '@millrace/bus';
import { productExample, topics } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import { z } from 'zod';
import { createAsyncApi } from '../src/asyncapi.ts';
import { docsRoutes } from '../src/docs.routes.ts';

const refSchema = z.object({ $ref: z.string() });
const channelSchema = z.looseObject({ address: z.string(), description: z.string(), messages: z.record(z.string(), refSchema) });
const operationSchema = z.looseObject({ action: z.enum(['send', 'receive']), channel: refSchema, tags: z.array(z.object({ name: z.string() })), 'x-group': z.string().optional() });
const propertiesSchema = z.looseObject({ properties: z.record(z.string(), z.unknown()) });
const documentSchema = z.looseObject({
  channels: z.record(z.string(), channelSchema),
  operations: z.record(z.string(), operationSchema),
  components: z.looseObject({ messages: z.record(z.string(), z.looseObject({ payload: propertiesSchema })) }),
});
const document = documentSchema.parse(JSON.parse(JSON.stringify(createAsyncApi(topics))));
const channelOf = (address: string) => Object.values(document.channels).find((channel) => channel.address === address);

/** What a reference inside the document points to; undefined: nothing. */
const resolve = ($ref: string): unknown => $ref.slice(2).split('/').reduce<unknown>((at, part) => z.record(z.string(), z.unknown()).safeParse(at).data?.[part], document);

// Strict: a keyword that JSON Schema does not have is an error, but for the document's own parts.
const wire = new Ajv({ strict: true, strictTypes: false, allErrors: true });
formats.default(wire);
wire.addVocabulary(Object.keys(document));
wire.addSchema(document, 'asyncapi', false, false);

function problemsOf(pointer: string, value: unknown): unknown[] {
  const validate = wire.compile({ $ref: `asyncapi#/${pointer}` });
  return validate(value) ? [] : (validate.errors ?? []);
}

/** Names that a schema of the document does not know. It would let them pass: its objects are open. */
function unknownNames(pointer: string, value: unknown): string[] {
  const found = resolve(`#/${pointer}`);
  const reference = refSchema.safeParse(found).data;
  const { properties } = propertiesSchema.parse(reference ? resolve(reference.$ref) : found);
  return Object.keys(z.record(z.string(), z.unknown()).parse(value)).filter((name) => !(name in properties));
}

/** What the document says against an entry: its fields, then the JSON in `data`. */
function problemsOfEntry(address: string, flat: readonly string[]): unknown[] {
  const fields: Record<string, string> = Object.fromEntries(flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [])));
  const message = channelOf(address)?.messages[fields['event_type'] ?? '']?.$ref.slice(2) ?? 'missing';
  const against = (pointer: string, value: unknown): unknown[] => [...unknownNames(pointer, value), ...problemsOf(pointer, value)];
  const data = fields['data'] === undefined ? [] : against(`${message}/payload/properties/data/contentSchema`, JSON.parse(fields['data']));
  return [...against(`${message}/payload`, fields), ...data];
}

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const bare = { ...productExample, description: null, category: null, brand: null, mpn: null, ean: [], price: null, price_minor: null, stock: null, attributes: { a: [{ b: null }, 1, true] } };
const events = topics.flatMap(({ topic, events: described }) => Object.entries(described).map(([type, { example }]) => ({ topic, type, example, title: `${topic.name} ${type}` })));
const samples = [
  ...events,
  ...events.filter(({ topic, type }) => topic.name === 'product:updates' && type !== 'delete').map((event) => ({ ...event, example: { version: 1, product: bare }, title: `${event.title} of a product that lacks all it may lack` })),
];

describe('the AsyncAPI document', () => {
  it('is valid by the official JSON schema of AsyncAPI 3.0', () => {
    const official = z.looseObject({ definitions: z.record(z.string(), z.unknown()) }).parse(JSON.parse(readFileSync(createRequire(import.meta.url).resolve('@asyncapi/specs/schemas/3.0.0.json'), 'utf8')));
    delete official.definitions['http://json-schema.org/draft-07/schema']; // Ajv has its own.
    const ajv = new Ajv({ strict: false, allErrors: true });
    formats.default(ajv);
    const validate = ajv.compile(official);
    validate(document);
    expect(validate.errors).toBeNull();
    expect(validate({ ...document, channels: { broken: { adress: 'product:updates' } } })).toBe(false);
  });
  it('has no reference that leads nowhere', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(refs.length).toBeGreaterThan(0);
    expect(refs.filter((ref) => !ref.startsWith('#/') || resolve(ref) === undefined)).toEqual([]);
  });
  it.each(topics.map((contract) => [contract.topic.name, contract] as const))('has %s with each type of its events, and who writes and reads it', (name, { topic, producers, consumers, hasHeartbeats }) => {
    const channel = channelOf(name);
    expect(Object.keys(channel?.messages ?? {}).toSorted()).toEqual([...Object.keys(topic.payloads), ...(hasHeartbeats ? [HEARTBEAT] : [])].toSorted());
    const operations = Object.values(document.operations).filter((operation) => resolve(operation.channel.$ref) === channel);
    const of = (action: string) => operations.filter((operation) => operation.action === action).map(({ tags, 'x-group': group }) => ({ service: tags[0]?.name, group }));
    expect(of('send')).toEqual(producers.map((service) => ({ service })));
    expect(of('receive')).toEqual(consumers);
  });
  it('says where the dead letters are, and that a broadcast topic keeps only so many entries', () => {
    expect(channelOf('product:updates')?.description).toContain('`product:updates:dlq:<group>`');
    expect(channelOf('index:updates')?.description).toContain('about 10000 newest entries');
    expect(channelOf('index:updates')?.description).not.toContain('dlq');
  });
  it('is served to everybody as JSON', async () => {
    const app = createHttpApp({ logger: createLogger('test', 'silent'), metrics: createMetrics('test'), handlers: [docsRoutes({ openapi: {}, asyncapi: document })] });
    const server = await startHttpServer(app, { host: '127.0.0.1', port: 0 });
    try {
      const answer = await fetch(`http://127.0.0.1:${server.port}/asyncapi.json`);
      expect([answer.status, answer.headers.get('content-type'), await answer.json()]).toEqual([200, 'application/json; charset=utf-8', document]);
    } finally {
      await server.close(0);
    }
  });
});

describe('entries as the bus writes them', () => {
  it.each(samples)('are what the document says: $title', ({ topic, type, example }) => {
    const traced = encodeEvent(topic, { type, ...example, meta: { traceparent } });
    expect(problemsOfEntry(topic.name, traced)).toEqual([]);
    expect(problemsOfEntry(topic.name, encodeEvent(topic, { type, ...example }))).toEqual([]);
    const message = channelOf(topic.name)?.messages[type]?.$ref ?? '';
    expect(Object.keys(propertiesSchema.parse(resolve(`${message}/payload`)).properties)).toEqual(traced.filter((_text, index) => index % 2 === 0));
  });
  it.each(topics.filter((contract) => contract.hasHeartbeats).map((contract) => [contract.topic.name, contract] as const))('are what the document says: a heartbeat of %s', (name, { topic }) => {
    const empty = { key: '', data: '', version: '', traceparent: '' };
    expect(problemsOfEntry(name, wireFields(topic, { type: HEARTBEAT, id: 'h1', timestamp: '2026-11-21T10:00:00.123456Z', ...empty }))).toEqual([]);
  });
  it.each([
    ['a delete whose data is not {id}', { event_type: 'delete', data: '{"sku":"MR-0001"}' }, "must have required property 'id'"],
    ['a product that lacks a field', { data: JSON.stringify({ ...productExample, name: undefined }) }, "must have required property 'name'"],
    ['a product with a price as text', { data: JSON.stringify({ ...productExample, price: '9.9' }) }, 'must be number'],
    ['another schema version', { schema: '2' }, 'must be equal to constant'],
    ['a version that is no integer', { version: '1.5' }, 'must match pattern'],
    ['a time that is none', { timestamp: 'yesterday' }, 'must match format "date-time"'],
  ])('would be refused by the document: %s', (_what, over, problem) => {
    const fields = { event_type: 'update', product_id: 'MR-0001', timestamp: '2026-11-21T10:00:00Z', data: JSON.stringify(productExample), id: 'e1', version: '4', schema: '1' };
    expect(problemsOfEntry('product:updates', Object.entries(fields).flat())).toEqual([]);
    expect(problemsOfEntry('product:updates', Object.entries({ ...fields, ...over }).flat())).toContainEqual(expect.objectContaining({ message: expect.stringContaining(problem) }));
  });
});
