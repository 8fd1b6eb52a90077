import { randomUUID } from 'node:crypto';
import { activeTraceparent } from './tracing.ts';
import type { BatchHandler } from './bus.ts';
import type { z } from 'zod';
import type { EventMeta, EventOf, NewEventOf, Topic, WireFields } from './topic.ts';

/** An event whose topic is not known to the compiler: the inside of the bus. */
export type AnyEvent = { readonly type: string; readonly meta: EventMeta };

/** One entry of a stream: its id and its flat fields name, value, name, value. */
export interface RawEntry {
  readonly id: string;
  readonly fields: readonly string[];
}

/** One event as it goes over the wire, before its fields have names. Empty text = the field is left out. */
export interface WireEvent {
  readonly type: string;
  readonly key: string;
  readonly timestamp: string;
  readonly data: string;
  readonly id: string;
  readonly version: string;
  readonly traceparent: string;
  /** In the order of the topic's `extraFields`. */
  readonly extra?: readonly string[];
}

export type Decoded =
  | { readonly kind: 'event'; readonly event: AnyEvent }
  | { readonly kind: 'heartbeat'; readonly timestamp: string }
  | { readonly kind: 'skip'; readonly type: string }
  | { readonly kind: 'park'; readonly reason: string };

export const HEARTBEAT = 'heartbeat';

const extraNames = (topic: Topic): readonly string[] => (topic.options.extraFields ? Object.keys(topic.options.extraFields) : []);

/** Names of the fields on the wire, in their order. The outbox relay writes with these same names and values. */
export const wireNames = (topic: Topic): readonly string[] => [
  'event_type', topic.options.keyField ?? 'key', 'timestamp', 'data', 'id', 'version', 'traceparent', 'schema',
  ...extraNames(topic),
];

/** Values in the order of `wireNames`. A value that is empty text is left out of the entry. */
export const wireValues = (topic: Topic, event: WireEvent): readonly string[] => [
  event.type, event.key, event.timestamp, event.data, event.id, event.version, event.traceparent, String(topic.options.schemaVersion),
  ...extraNames(topic).map((_name, index) => event.extra?.[index] ?? ''),
];

/** Flat fields of one entry. */
export function wireFields(topic: Topic, event: WireEvent): string[] {
  const values = wireValues(topic, event);
  return wireNames(topic).flatMap((name, index) => (values[index] ? [name, values[index]] : []));
}

/** Checks the payload by its schema and gives the flat fields of its entry. Throws on a payload that its own schema refuses: a bug of the producer. */
export const encodeEvent = <T extends Topic>(topic: T, input: NewEventOf<T>): string[] => wireFields(topic, encodeWireEvent(topic, input));

/** The same before its fields have names. */
export function encodeWireEvent<T extends Topic>(topic: T, input: NewEventOf<T>): WireEvent {
  const { type, meta, ...payload } = eraseNewEvent(input);
  const schema = topic.payloads[type];
  if (!schema) throw new TypeError(`topic ${topic.name} has no event type "${type}"`);
  return toWire(topic, { type, meta, payload: schema.parse(payload) });
}

/** The same for a producer that made the event from what it has just parsed: its payload is not checked again. */
export function encodeCheckedEvent<T extends Topic>(topic: T, input: NewEventOf<T>): WireEvent {
  const { type, meta, ...payload } = eraseNewEvent(input);
  return toWire(topic, { type, meta, payload });
}

interface CheckedEvent {
  readonly type: string;
  readonly meta: Partial<EventMeta> | undefined;
  readonly payload: unknown;
}

function toWire(topic: Topic, { type, meta, payload }: CheckedEvent): WireEvent {
  const { options } = topic;
  const event = assembleEvent(type, payload, {
    ...meta,
    id: meta?.id ?? randomUUID(),
    timestamp: meta?.timestamp ?? new Date().toISOString(),
    schema: options.schemaVersion,
  });
  return {
    type,
    key: options.keyOf(event),
    timestamp: event.meta.timestamp,
    data: JSON.stringify(options.toData ? options.toData(event) : payload),
    id: event.meta.id,
    version: options.versionOf ? String(options.versionOf(event)) : '',
    traceparent: event.meta.traceparent ?? activeTraceparent() ?? '',
    ...(options.extraFields && { extra: Object.values(options.extraFields).map((valueOf) => valueOf(event)) }),
  };
}

/**
 * Reads one entry. Entries of older schema versions go through the topic's upcasters. Event types unknown at a known schema version are
 * skipped; what cannot be read, and newer schema versions, are parked. Entries of other languages' producers may lack id, timestamp and schema: topic, key and the entry's own id
 * (unique over partitions), its time and version 1 stand in.
 */
export function decodeEntry(topic: Topic, entry: RawEntry): Decoded {
  const fields = toRecord(entry.fields);
  const type = fields['event_type'];
  const timestamp = fields['timestamp'] ?? timeOfId(entry.id);
  if (type === undefined) return { kind: 'park', reason: 'unparsable: no event_type' };
  if (type === HEARTBEAT) return { kind: 'heartbeat', timestamp };

  const schemaVersion = Number(fields['schema'] ?? 1);
  if (!Number.isInteger(schemaVersion)) return { kind: 'park', reason: 'unparsable: schema is not a number' };
  if (schemaVersion > topic.options.schemaVersion) return { kind: 'park', reason: `newer schema version ${schemaVersion}` };

  const read = readPayload(topic, { type, schemaVersion, fields });
  if ('reason' in read) return { kind: 'park', reason: read.reason };
  const schema = Object.hasOwn(topic.payloads, read.type) ? topic.payloads[read.type] : undefined;
  if (!schema) return { kind: 'skip', type };
  const parsed = parse(schema, read.payload);
  if (!parsed) return { kind: 'park', reason: 'unparsable: its schema failed on it' };
  if (!parsed.success) {
    const paths = parsed.error.issues.map((issue) => issue.path.join('.') || '(root)');
    return { kind: 'park', reason: `unparsable: payload does not match its schema at ${paths.slice(0, 5).join(', ')}` };
  }
  const traceparent = fields['traceparent'];
  const meta = { id: fields['id'] ?? `${topic.name}/${fields[topic.options.keyField ?? 'key'] ?? ''}/${entry.id}`, timestamp, schema: schemaVersion, streamId: entry.id, ...(traceparent === undefined ? {} : { traceparent }) };
  const event = assembleEvent(read.type, parsed.data, meta);
  return hasKey(topic, event) ? { kind: 'event', event } : { kind: 'park', reason: 'unparsable: its key cannot be read' };
}

/** A schema may have transformations that throw. */
function parse(schema: z.ZodType, payload: unknown): z.ZodSafeParseResult<unknown> | undefined {
  try {
    return schema.safeParse(payload);
  } catch {
    return undefined;
  }
}

function hasKey(topic: Topic, event: AnyEvent): boolean {
  try {
    return typeof topic.options.keyOf(event) === 'string';
  } catch {
    return false;
  }
}

/** Ids chosen by hand may lie beyond what a Date can hold. */
function timeOfId(id: string): string {
  const time = new Date(Number(id.split('-')[0]));
  return Number.isNaN(time.getTime()) ? new Date(0).toISOString() : time.toISOString();
}

function toRecord(flat: readonly string[]): WireFields {
  const record: Record<string, string> = {};
  for (let index = 0; index + 1 < flat.length; index += 2) record[flat[index] ?? ''] = flat[index + 1] ?? '';
  return record;
}

interface ToRead {
  readonly type: string;
  readonly schemaVersion: number;
  readonly fields: WireFields;
}

type ReadPayload = { readonly type: string; readonly payload: unknown } | { readonly reason: string };

/** The payload of an event type that nobody knows is of no interest. */
function readPayload({ payloads, options }: Topic, { type, schemaVersion, fields }: ToRead): ReadPayload {
  const isOld = schemaVersion < options.schemaVersion && options.upcasters !== undefined;
  if (!isOld && !Object.hasOwn(payloads, type)) return { type, payload: undefined };
  let reason = 'unparsable: data is not JSON';
  try {
    let current: { readonly type: string; readonly data: unknown } = { type, data: JSON.parse(fields['data'] ?? 'null') };
    for (let version = schemaVersion; version < options.schemaVersion; version += 1) {
      reason = `unparsable: its upcaster of schema version ${version} failed`;
      current = options.upcasters?.[version]?.({ ...current, fields }) ?? current;
    }
    reason = 'unparsable: data cannot be read';
    return { type: current.type, payload: options.fromData ? options.fromData(current.type, current.data, fields) : current.data };
  } catch {
    return { reason };
  }
}

/*
 * The kernel: a topic's events are a mapped union over its payload schemas, which the compiler cannot follow through `schema.parse`.
 * What is asserted here is what zod has just checked.
 */
/* oxlint-disable typescript/no-unsafe-type-assertion */
const assembleEvent = (type: string, payload: unknown, meta: EventMeta): AnyEvent => ({ ...(payload as object), type, meta });

const eraseNewEvent = (event: unknown): { readonly type: string; readonly meta?: Partial<EventMeta> } => event as { readonly type: string };

/** The same handler for the inside of the bus, which decodes by the topic's own schemas before it calls. */
export const eraseHandler = <T extends Topic>(_topic: T, handle: BatchHandler<EventOf<T>>): BatchHandler<AnyEvent> => handle as BatchHandler<AnyEvent>;
