import { Redis } from 'ioredis';
import type { CommonRedisOptions } from 'ioredis';

/**
 * What a connection is for; it decides how the connection behaves while Redis is away.
 * - `request`: a caller is waiting. Fails at once when not connected, after 500 ms without an answer, after one retry.
 * - `blocking`: one reader that blocks (streams, BullMQ workers). Commands wait for ever; a silent socket is replaced after `silentSocketMs`.
 * - `background`: loops with a back-off of their own. Commands wait for a short outage, then reject.
 */
export type RedisRole = 'request' | 'blocking' | 'background';

export interface ConnectOptions {
  readonly role: RedisRole;
  /** Seen in CLIENT LIST. */
  readonly name: string;
  /** Told of every connection error (the client reconnects by itself). Without it errors are swallowed: ioredis floods stderr otherwise. */
  readonly onError?: (error: Error) => void;
  /** For `blocking` and `background`: a socket that owes an answer for so long is replaced. Must be above BLOCK. Default 10 s. */
  readonly silentSocketMs?: number;
}

/** 50 ms doubling to 2 s, plus up to 50 ms so that a fleet does not return in step. */
const retryDelayMs = (attempt: number): number => Math.min(2_000, 25 * 2 ** Math.min(attempt, 10)) + Math.floor(Math.random() * 50);

/** A replica that was master until a moment ago answers READONLY: reconnect (the address may lead to the new master) and send again. */
const reconnectOnReadonly = (error: Error): false | 2 => (error.message.startsWith('READONLY') ? 2 : false);

type RoleOptions = Omit<CommonRedisOptions, 'replyMapping'> & { disconnectTimeout?: number };

const roleOptions: Readonly<Record<RedisRole, (silentSocketMs: number) => RoleOptions>> = {
  request: () => ({ enableOfflineQueue: false, commandTimeout: 500, maxRetriesPerRequest: 1, connectTimeout: 2_000 }),
  blocking: (silentSocketMs) => ({ maxRetriesPerRequest: null, socketTimeout: silentSocketMs }),
  background: (silentSocketMs) => ({ maxRetriesPerRequest: 3, socketTimeout: silentSocketMs, connectTimeout: 5_000 }),
};

/**
 * Opens a connection that reconnects by itself for ever and never crashes the process by an unheard `error` event.
 * Returns before it is connected; use `whenReady` where the first command must not fail.
 */
export function connectRedis(url: string, { role, name, onError = () => undefined, silentSocketMs = 10_000 }: ConnectOptions): Redis {
  const options: RoleOptions = {
    ...roleOptions[role](silentSocketMs),
    connectionName: name.replaceAll(/[^\x21-\x7e]/g, '-'),
    // The reply shapes are the same and nothing of RESP3 is used: one round trip less on connecting.
    protocol: 2,
    keepAlive: 10_000,
    // The client's 2 s keep the process alive after a disconnect() between two attempts.
    disconnectTimeout: 100,
    retryStrategy: retryDelayMs,
    reconnectOnError: reconnectOnReadonly,
  };
  const redis = new Redis(url, options);
  redis.on('error', onError);
  return redis;
}

/** Resolves once the connection takes commands. Rejects after `timeoutMs`, or at once where it has been closed. */
export async function whenReady(redis: Redis, timeoutMs = 10_000): Promise<void> {
  if (redis.status === 'ready') return;
  if (redis.status === 'end') throw new Error('the Redis connection is closed');
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      redis.off('ready', onReady).off('end', onEnd);
      if (error) reject(error);
      else resolve();
    };
    const onReady = (): void => settle();
    const onEnd = (): void => settle(new Error('the Redis connection is closed'));
    const timer = setTimeout(() => settle(new Error(`Redis did not answer within ${timeoutMs} ms`)), timeoutMs);
    redis.on('ready', onReady).on('end', onEnd);
  });
}

/** ioredis' disconnect() between two attempts leaves the queued commands pending for ever: an attempt that is cut off rejects them. */
function abandon(redis: Redis): void {
  if (redis.status === 'reconnecting') redis.connect().catch(() => undefined);
  redis.disconnect();
}

/** Ends a connection politely (QUIT) where it is connected, hard where it is not or where Redis does not answer within `timeoutMs`; commands that wait are rejected. Never rejects. */
export async function closeRedis(redis: Redis, timeoutMs = 500): Promise<void> {
  if (redis.status === 'end') return;
  if (redis.status !== 'ready') {
    abandon(redis);
    return;
  }
  const timer = setTimeout(() => abandon(redis), timeoutMs);
  await redis.quit().catch(() => abandon(redis));
  clearTimeout(timer);
}
