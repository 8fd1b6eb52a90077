import { encodeEvent, HEARTBEAT, wireFields } from '@millrace/bus';
import type { EventContract, TopicContract } from '@millrace/contracts';
import { createKeys } from '@millrace/redis-kit';
import { z } from 'zod';

type Json = Readonly<Record<string, unknown>>;

/** AsyncAPI 3.0, as much of it as Millrace uses. */
export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0';
  readonly info: Json;
  readonly servers: Json;
  readonly channels: Readonly<Record<string, Json>>;
  readonly operations: Readonly<Record<string, Json>>;
  readonly components: { readonly messages: Readonly<Record<string, Json>>; readonly schemas: Json };
}

const EXAMPLE_META = { id: '5d0a7ab5-5e9d-4a4c-9b54-3f1f4c8f6b1e', timestamp: '2026-11-02T08:00:00.000000Z', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };

const ABOUT = `Everything that Millrace's services tell each other over Redis Streams. A channel is a stream, and a message is one of its entries: flat text fields (\`XADD <stream> * name value …\`), of which \`data\` is JSON.

- **Delivery** to a consumer group is at least once: an event may come twice, and a retry may overtake. A reader's effect is idempotent by \`version\` or by \`id\`.
- **Order** is by \`version\` where a topic has one: of one key the highest version wins, whenever it comes. Never by \`timestamp\`.
- **Partitions**: the address of a channel is the name of the topic. A topic with several partitions, and every topic on Redis Cluster, has the streams \`<topic>:{<topic>:<p>}\` instead; the hash \`<topic>:meta\` says which (\`first\`, \`partitions\`). An event is in the one of its key: CRC-32 of the key modulo the number of partitions.
- **Growth**: events gain fields and topics gain types without notice; readers ignore what they do not know. An entry whose \`schema\` is newer than a reader knows is not for it.
- **Other producers**: what an entry must have is what Millrace's own writers give. Its readers also take one without \`id\`, \`timestamp\` or \`schema\`: the entry's id, its time and version 1 stand in.

Redis is inside the installation and never public; this document says what goes over it.`;

const keys = createKeys();
const ref = (...path: readonly string[]): Json => ({ $ref: `#/${path.join('/')}` });
/** product:updates -> productUpdates */
const toId = (name: string): string => name.replaceAll(/\W+(\w)/g, (_all, letter: string) => letter.toUpperCase());
const toTitle = (id: string): string => id.charAt(0).toUpperCase() + id.slice(1);
const messageId = ({ topic }: TopicContract, type: string): string => `${toId(topic.name)}.${type}`;
const typesOf = ({ events, hasHeartbeats }: TopicContract): string[] => [...Object.keys(events), ...(hasHeartbeats ? [HEARTBEAT] : [])];

/** AsyncAPI 3.0 of the bus, generated from the topics that the services publish and decode by. The order of the fields is that of the wire. */
export function createAsyncApi(topics: readonly TopicContract[]): AsyncApiDocument {
  const { data, schemas } = dataSchemas(topics);
  return {
    asyncapi: '3.0.0',
    info: { title: 'Millrace events', version: '0.1.0', description: ABOUT, license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' } },
    servers: {
      redis: {
        host: '{address}', protocol: 'redis', protocolVersion: '7.0', description: 'Redis of the bus, 7.0 or later.',
        variables: { address: { default: '127.0.0.1:6379', description: 'Host and port of the services\' REDIS_URL' } },
      },
    },
    channels: Object.fromEntries(topics.map((contract) => [toId(contract.topic.name), channelOf(contract)])),
    operations: Object.fromEntries(topics.flatMap(operationsOf)),
    components: { messages: Object.fromEntries(topics.flatMap((contract) => messagesOf(contract, data))), schemas },
  };
}

/** JSON schemas of the field `data` by message, and the schemas that they share. Objects stay open: events gain optional fields without a new schema version. */
function dataSchemas(topics: readonly TopicContract[]): { readonly data: Json; readonly schemas: Json } {
  const shape = topics.flatMap((contract) => Object.entries(contract.events).map(([type, event]) => [messageId(contract, type), dataOf(contract, type, event)] as const));
  const schema = z.toJSONSchema(z.object(Object.fromEntries(shape)), {
    target: 'draft-7', io: 'output',
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
      if ('example' in jsonSchema) {
        jsonSchema.examples = [jsonSchema['example']];
        delete jsonSchema['example'];
      }
    },
  });
  const moved: unknown = JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#/definitions/', '"$ref":"#/components/schemas/'));
  const { properties, definitions } = z.object({ properties: z.record(z.string(), z.unknown()), definitions: z.record(z.string(), z.unknown()).default({}) }).parse(moved);
  return { data: properties, schemas: definitions };
}

function dataOf({ topic }: TopicContract, type: string, { data }: EventContract): z.ZodType {
  const schema = data ?? topic.payloads[type];
  if (!schema) throw new TypeError(`topic ${topic.name} has no event type "${type}"`);
  return schema;
}

function channelOf(contract: TopicContract): Json {
  const { topic, description } = contract;
  return {
    address: keys.topic(topic.name).stream,
    description: `${description}\n\n${deliveryOf(contract)}`,
    servers: [ref('servers', 'redis')],
    messages: Object.fromEntries(typesOf(contract).map((type) => [type, ref('components', 'messages', messageId(contract, type))])),
  };
}

function deliveryOf({ topic: { name, options } }: TopicContract): string {
  const order = options.versionOf ? 'Order is by `version`.' : 'Order is that of the stream.';
  if (options.maxLength !== undefined) {
    return `Broadcast: read without a group (\`XREAD\`), from now on. Nobody acknowledges: about ${options.maxLength} newest entries are kept, read or not. Who may have missed some drops everything derived from the topic. ${order}`;
  }
  return [
    `At least once to each consumer group (\`XREADGROUP\`), acknowledged after the effect. ${order} A new group begins at the oldest entry that is left and takes what is older from the service that owns the data.`,
    `An entry that a group cannot read, or that keeps failing, is copied to \`${keys.topic(name).deadLetters('<group>')}\` with the reason and acknowledged.`,
    'What some group has not acknowledged is not trimmed: remove a group that is no longer read (`DELETE /api/admin/streams/groups/{group}`).',
  ].join('\n\n');
}

function operationsOf(contract: TopicContract): (readonly [string, Json])[] {
  const { name } = contract.topic;
  const id = toId(name);
  const common = { channel: ref('channels', id), messages: typesOf(contract).map((type) => ref('channels', id, 'messages', type)) };
  const sends = contract.producers.map((service) => [
    `${toId(service)}Sends${toTitle(id)}`, { action: 'send', summary: `${service} writes ${name}`, tags: [{ name: service }], ...common },
  ] as const);
  const receives = contract.consumers.map(({ service, group }) => [
    // A service may have several groups, and read by broadcast besides.
    `${toId(service)}Receives${toTitle(id)}${contract.consumers.filter((other) => other.service === service).length > 1 ? `As${toTitle(toId(group ?? 'broadcast'))}` : ''}`,
    {
      action: 'receive', summary: `${service} reads ${name}`, tags: [{ name: service }], ...common,
      description: group === undefined ? 'Every instance, by broadcast.' : `Consumer group \`${group}\`; its dead letters are in \`${keys.topic(name).deadLetters(group)}\`.`,
      ...(group !== undefined && { 'x-group': group }),
    },
  ] as const);
  return [...sends, ...receives];
}

function messagesOf(contract: TopicContract, data: Json): (readonly [string, Json])[] {
  const { topic, events, hasHeartbeats } = contract;
  const described = Object.entries(events).map(([type, { summary, example }]) => {
    const payload = asRecord(encodeEvent(topic, { type, ...example, meta: EXAMPLE_META }));
    return messageOf({ contract, type, summary, payload, fields: fieldsOf(contract, type, data[messageId(contract, type)]) });
  });
  if (!hasHeartbeats) return described;
  const { event_type, timestamp, id, schema } = fieldsOf(contract, HEARTBEAT, {});
  const payload = asRecord(wireFields(topic, { type: HEARTBEAT, ...EXAMPLE_META, key: '', data: '', version: '', traceparent: '' }));
  const summary = 'Nothing changed until now: shows how far behind a reader is, and has no other effect';
  return [...described, messageOf({ contract, type: HEARTBEAT, summary, payload, fields: { event_type, timestamp, id, schema } })];
}

interface MessageParts {
  readonly contract: TopicContract;
  readonly type: string;
  readonly summary: string;
  /** An example as it is on the wire. */
  readonly payload: Json;
  readonly fields: Json;
}

function messageOf({ contract, type, summary, payload, fields }: MessageParts): readonly [string, Json] {
  const id = messageId(contract, type);
  return [id, {
    name: type, title: `${contract.topic.name} ${type}`, summary,
    payload: { type: 'object', required: Object.keys(fields).filter((name) => name !== 'traceparent'), properties: fields },
    examples: [{ payload }],
  }];
}

/** The flat fields of one entry, as `encodeEvent` and the outbox relay write them. */
function fieldsOf({ topic: { options }, key }: TopicContract, type: string, data: unknown) {
  const text = { type: 'string', minLength: 1 };
  return {
    event_type: { type: 'string', const: type },
    [options.keyField ?? 'key']: { ...text, description: `Ordering key: ${key}` },
    timestamp: { type: 'string', format: 'date-time', description: 'When it was committed; never for ordering' },
    data: { type: 'string', contentMediaType: 'application/json', contentSchema: data, description: 'JSON of the schema in contentSchema' },
    id: { ...text, description: 'Id of the event, a UUID: the same on every redelivery and replay' },
    ...(options.versionOf && { version: { type: 'string', pattern: '^[1-9][0-9]*$', description: 'Integer; grows with every change of the key' } }),
    traceparent: { ...text, description: 'W3C trace context of the request behind the change, where there was one' },
    schema: { type: 'string', const: String(options.schemaVersion), description: 'Version of the topic\'s schema' },
    ...Object.fromEntries(Object.keys(options.extraFields ?? {}).map((name) => [name, { ...text, description: 'As in the payload' }])),
  };
}

const asRecord = (flat: readonly string[]): Json => Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, n) => [flat[2 * n] ?? '', flat[2 * n + 1]]));
