import { randomUUID } from 'node:crypto';
import { defineScript } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { every } from '@millrace/service';
import type { Logger } from '@millrace/service';

export interface Instances {
  /** Gateways that gave a sign of life in the last 15 s, as last heard; at least 1. */
  count(): number;
  /** Rejects where Redis does. */
  beat(): Promise<void>;
  close(): Promise<void>;
}

const BEAT_MS = 5_000;
const ALIVE_MS = 15_000;

const script = defineScript(`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])`);

/** This instance among the others, by a heartbeat. While Redis is away the last number stays. */
export function joinInstances({ redis, keys, logger }: { readonly redis: Redis; readonly keys: Keys; readonly logger: Pick<Logger, 'warn'> }): Instances {
  const id = randomUUID();
  let known = 1;
  const beat = async (): Promise<void> => {
    known = Math.max(1, Number(await script(redis, [keys.rateLimits.instances], [id, ALIVE_MS])));
  };
  const stop = every(BEAT_MS, { what: 'heartbeat of rate limits', logger }, beat);
  return {
    count: () => known,
    beat,
    async close() {
      stop();
      // Where Redis is away it is forgotten by its time.
      await redis.zrem(keys.rateLimits.instances, id).catch(() => undefined);
    },
  };
}
