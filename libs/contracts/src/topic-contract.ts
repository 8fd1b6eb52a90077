import type { Topic } from '@millrace/bus/topics';
import type { z } from 'zod';

/** One type of event, for readers who have only the wire. */
export interface EventContract<S extends z.ZodType = z.ZodType> {
  readonly summary: string;
  /** The JSON of the wire field `data`; the payload itself where not given. Needed where the topic has a `toData`. */
  readonly data?: z.ZodType;
  /** A payload that may be published. */
  readonly example: z.input<S> & object;
}

/** A topic and those who use it. The AsyncAPI document is made from it. Every event type of the topic must be described. */
export interface TopicContract<T extends Topic = Topic> {
  readonly topic: T;
  readonly description: string;
  /** What the ordering key is, such as "sku of the product". */
  readonly key: string;
  /** Services that write. */
  readonly producers: readonly string[];
  /** Services that read, by their group; without one: by broadcast. */
  readonly consumers: readonly { readonly service: string; readonly group?: string }[];
  /** Does the stream also carry heartbeats: entries that tell nothing but the time? */
  readonly hasHeartbeats: boolean;
  readonly events: { readonly [K in keyof T['payloads']]: EventContract<T['payloads'][K]> };
}
