import type { z } from 'zod';

/** The flat string fields of one stream entry. */
export type WireFields = Readonly<Record<string, string>>;

/** What the bus adds to a payload. `id` is the event's own id (same on every redelivery and replay); `streamId` is the entry's place. */
export interface EventMeta {
  readonly id: string;
  /** When the change was committed, ISO 8601. Never used for ordering. */
  readonly timestamp: string;
  readonly schema: number;
  readonly traceparent?: string;
  readonly streamId?: string;
}

type Payloads = Readonly<Record<string, z.ZodType>>;

/** One of the topic's events: its payload, its type and its meta data. */
export type TopicEvent<P extends Payloads> = { [K in keyof P & string]: { readonly type: K; readonly meta: EventMeta } & z.output<P[K]> }[keyof P & string];

/** An event before it is published: the bus adds the meta data that is missing. */
export type NewTopicEvent<P extends Payloads> = { [K in keyof P & string]: { readonly type: K; readonly meta?: Partial<EventMeta> } & z.input<P[K]> }[keyof P & string];

/** The wire data of one event, in the schema version that an upcaster reads. */
export interface WireData {
  readonly type: string;
  readonly data: unknown;
  readonly fields: WireFields;
}

/** Pure; what it throws on is parked. */
export type Upcaster = (old: WireData) => { readonly type: string; readonly data: unknown };

export interface TopicOptions<P extends Payloads> {
  /** Entries of a newer schema version are parked, not dropped. */
  readonly schemaVersion: number;
  /** Name of the wire field that holds the ordering key; "key" where not given. */
  readonly keyField?: string;
  /**
   * For topics that are only broadcast (no group to wait for), or whose events may be lost: the stream keeps about so many newest entries, read
   * or not. Without it nothing is ever cut off by publishing; see trimAcknowledged.
   */
  readonly maxLength?: number;
  /** An event whose id was published in the last so many milliseconds is not appended again: for producers that repeat after an unclear answer. Costs the broker a note of each id (a member of a sorted set on Redis, a row on Postgres). Off by default. */
  readonly dedupMs?: number;
  /**
   * Bring the wire data of an older schema version to the next one, by the version that they read: `{ 1: toVersion2, 2: toVersion3 }`.
   * Where one is missing, the older data must fit as it is.
   */
  readonly upcasters?: Readonly<Record<number, Upcaster>>;
  /** Keys and payloads are personal (ISDN, user ids): listings of dead letters mask them. */
  readonly isPersonal?: boolean;
  /** More flat fields of the wire, behind the others, for readers that do not look into `data`; `fromData` reads them back. Empty text is left out. */
  readonly extraFields?: Readonly<Record<string, (event: TopicEvent<P>) => string>>;
  /** Events of one key keep their order. */
  keyOf(event: TopicEvent<P>): string;
  /** Value of the wire field `version`, where the events have one. */
  versionOf?(event: TopicEvent<P>): number;
  /** The JSON of the wire field `data`; default: the payload. */
  toData?(event: TopicEvent<P>): unknown;
  /** The payload (still to be checked by the schema) from the wire; default: `data` itself. */
  fromData?(type: string, data: unknown, fields: WireFields): unknown;
}

export interface Topic<P extends Payloads = Payloads> {
  readonly name: string;
  readonly payloads: P;
  /** Its events are those of `payloads`; kept without their types, so that a topic of any events is a `Topic`. */
  readonly options: TopicOptions<Payloads>;
}

/** The union of a topic's events. */
export type EventOf<T> = T extends Topic<infer P> ? TopicEvent<P> : never;
export type NewEventOf<T> = T extends Topic<infer P> ? NewTopicEvent<P> : never;

/** Declares a topic: its name is the stream's name, its payload schemas are checked when an entry is decoded. */
export function defineTopic<const P extends Payloads>(name: string, payloads: P, options: TopicOptions<P>): Topic<P> {
  // Kernel: only events that `payloads` has accepted reach these functions.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return { name, payloads, options: options as unknown as TopicOptions<Payloads> };
}
