import { Command } from 'ioredis';
import { isCluster, masterNodes } from './redis.ts';
import type { Redis, SingleRedis } from './redis.ts';

const CLOSED = 'the Redis connection is closed';

/** Resolves with true once `redis` is ready, with false after `timeoutMs`. Rejects where it is closed. */
async function becomesReady(redis: Redis, timeoutMs: number): Promise<boolean> {
  if (redis.status === 'ready') return true;
  if (redis.status === 'end') throw new Error(CLOSED);
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      redis.off('ready', onReady).off('end', onEnd);
      act();
    };
    const onReady = (): void => settle(() => resolve(true));
    const onEnd = (): void => settle(() => reject(new Error(CLOSED)));
    const timer = setTimeout(() => settle(() => resolve(false)), timeoutMs);
    redis.on('ready', onReady).on('end', onEnd);
  });
}

async function connectNode(node: SingleRedis, timeoutMs: number): Promise<void> {
  if (node.status === 'wait') node.connect().catch(() => undefined);
  await becomesReady(node, timeoutMs).catch(() => undefined);
}

/**
 * Resolves once the connection takes commands. Rejects after `timeoutMs`, or at once where it has been closed. A cluster is
 * ready when it knows who has which keys and is connected to every master, but it does not wait for one that cannot be reached.
 */
export async function whenReady(redis: Redis, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  if (!(await becomesReady(redis, timeoutMs))) throw new Error(`Redis did not answer within ${timeoutMs} ms`);
  if (isCluster(redis)) await Promise.all(masterNodes(redis).map((node) => connectNode(node, Math.max(0, deadline - Date.now()))));
}

/**
 * Calls the listener after each loss of a connection that had been there: an answer may have been lost with it, although the client sends
 * the command again by itself. Of a single instance when it is there again, of a cluster as soon as a connection to a node has ended.
 */
export function onReconnect(redis: Redis, listener: () => void): void {
  if (isCluster(redis)) {
    redis.on('-node', () => {
      if (redis.status === 'ready') listener();
    });
    return;
  }
  let wasReady = redis.status === 'ready';
  redis.on('ready', () => {
    if (wasReady) listener();
    wasReady = true;
  });
}

/**
 * Rejects the commands that wait for a connection. ioredis does so by itself after `maxRetriesPerRequest` attempts, but not
 * while it looks for a cluster or asks the sentinels; this is its own private method for it.
 */
export function rejectWaiting(redis: Redis, error: Error): void {
  const flushQueue: unknown = Reflect.get(redis, 'flushQueue');
  if (typeof flushQueue === 'function') Reflect.apply(flushQueue, redis, [error]);
}

/**
 * Rejects commands that were on their way when their connection broke: ioredis keeps them aside until a connection is ready again, also
 * beyond `maxRetriesPerRequest`, and forgets them where the client is ended before. Its own private queue: there is no other way to them.
 */
export function rejectLost(redis: Redis): void {
  const lost: unknown = Reflect.get(redis, 'prevCommandQueue');
  if (typeof lost !== 'object' || lost === null || !('toArray' in lost) || typeof lost.toArray !== 'function') return;
  const items: unknown = Reflect.apply(lost.toArray, lost, []);
  if ('clear' in lost && typeof lost.clear === 'function') Reflect.apply(lost.clear, lost, []);
  for (const item of Array.isArray(items) ? items : []) {
    const command: unknown = Reflect.get(Object(item), 'command');
    if (command instanceof Command) command.reject(new Error('Connection is closed.'));
  }
}

/**
 * ioredis' disconnect() between two attempts leaves the queued commands pending for ever. Of a single instance an attempt that is cut
 * off rejects them; a cluster's client ends with its last connection, so one that has none is ended as one that never began.
 */
function abandon(redis: Redis): void {
  rejectLost(redis);
  if (isCluster(redis)) {
    rejectWaiting(redis, new Error('Connection is closed.'));
    if (redis.nodes().length === 0) redis.status = 'wait';
  } else if (redis.status === 'reconnecting') redis.connect().catch(() => undefined);
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
