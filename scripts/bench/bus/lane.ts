import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createRedisStreamsBus } from '@millrace/bus';
import type { NewEventOf, RedisStreamsBus, Topic } from '@millrace/bus';
import { closeRedis, connectRedis, createKeys, whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';

export const GROUP = 'bench';

export function redisUrl(): string {
  const url = process.env['TEST_REDIS_URL'];
  if (url === undefined || url === '') throw new Error('TEST_REDIS_URL is not set');
  return url;
}

export const uniqueName = (name: string): string => `bench:${name}:${randomBytes(4).toString('hex')}`;

/** What a loop without our library writes for the same event. */
export interface PlainEvent {
  readonly key: string;
  readonly version: number;
  readonly payload: unknown;
}

/** The same events for the bus and for the loops without it. */
export interface Sample<T extends Topic> {
  readonly topic: T;
  readonly events: readonly NewEventOf<T>[];
  readonly plain: readonly PlainEvent[];
}

/** A stream, a bus and a connection without it. */
export interface Lane<T extends Topic> extends Sample<T> {
  readonly stream: string;
  readonly bus: RedisStreamsBus;
  readonly redis: Redis;
  /** Empties the stream and forgets its group: a run does not pay for the one before it. */
  readonly reset: () => Promise<void>;
  close(): Promise<void>;
}

export const openBus = (url: string): RedisStreamsBus => createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'bench bus' }) });

export async function openLane<T extends Topic>(sample: Sample<T>): Promise<Lane<T>> {
  const stream = sample.topic.name;
  const keys = createKeys().topic(stream);
  const bus = openBus(redisUrl());
  const redis = connectRedis(redisUrl(), { role: 'blocking', name: 'bench raw' });
  await whenReady(redis);
  const reset = async (): Promise<void> => void (await redis.del(stream, keys.bootstrapped(GROUP), keys.attempts(GROUP)));
  return {
    ...sample, stream, bus, redis, reset,
    async close() {
      await bus.close();
      await reset();
      await closeRedis(redis);
    },
  };
}

/** The flat fields that the bus writes, made by hand: the payload's JSON, a new id, the time, no schema check. */
export const plainFields = ({ key, version, payload }: PlainEvent): string[] => [
  'event_type', 'update', 'product_id', key, 'timestamp', new Date().toISOString(), 'data', JSON.stringify(payload), 'id', randomUUID(), 'version', String(version), 'schema', '1',
];

/** The payload of an entry, without a schema check. */
export const plainPayload = (fields: readonly string[]): unknown => JSON.parse(fields[fields.indexOf('data') + 1] ?? 'null');

/** One round trip, as everybody writes it first: a pipeline of XADD. */
export async function addPlain(redis: Redis, stream: string, events: readonly PlainEvent[]): Promise<void> {
  const pipeline = redis.pipeline();
  for (const event of events) pipeline.xadd(stream, '*', ...plainFields(event));
  for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
}

type Reply = readonly [readonly [stream: string, entries: readonly (readonly [id: string, fields: readonly string[]])[]]];
const isReply = (reply: unknown): reply is Reply => Array.isArray(reply);

/** Entries of one XREADGROUP of one stream; rejects where its time was up, because every loop here knows what is still to come. */
export async function readPlain(reading: Promise<unknown>): Promise<Reply[0][1]> {
  const reply = await reading;
  if (!isReply(reply)) throw new Error('the stream ended before all was read');
  return reply[0][1];
}

/** Rejects after so long: a benchmark that hangs says where. */
export async function within<T>(seconds: number, what: string, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(seconds * 1_000, undefined, { signal: timer.signal }).then((): never => {
    throw new Error(`${what}: not done after ${seconds} s`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}
