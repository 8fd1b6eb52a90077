import { createHash } from 'node:crypto';
import { windowsOf } from '@millrace/mcp-tools';
import type { Taken, Usage } from '@millrace/mcp-tools';
import { defineScript } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';

/** KEYS minute, day. ARGV calls a minute, calls a day, seconds until the end of the minute and of the day. `ok`, or what is used up: then nothing is counted. */
const takeScript = defineScript(`
if tonumber(redis.call('GET', KEYS[2]) or '0') >= tonumber(ARGV[2]) then return 'day' end
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 'minute' end
for at = 1, 2 do
  if redis.call('INCR', KEYS[at]) == 1 then redis.call('EXPIRE', KEYS[at], tonumber(ARGV[at + 2]) + 60) end
end
return 'ok'`);

/** Callers' ids of tokens name persons: a key holds their digest. */
const digestOf = (caller: string): string => createHash('sha256').update(caller).digest('hex').slice(0, 32);

export interface RedisUsageDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly now?: () => number;
}

/** Counts over all instances of one Redis, by one script; they outlive restarts of this service. Rejects where Redis does not answer within half a second. */
export function createRedisUsage({ redis, keys, now = Date.now }: RedisUsageDeps): Usage {
  return {
    async take(caller, tool, { perMinute, perDay }): Promise<Taken> {
      const windows = windowsOf(now());
      const own = keys.toolCalls(digestOf(caller), tool);
      const answer = await takeScript(redis, [own.minute(windows.minute.number), own.day(windows.day.number)], [perMinute, perDay, windows.minute.endsInSeconds, windows.day.endsInSeconds]);
      if (answer === 'ok') return { isAdmitted: true };
      const by = answer === 'day' ? 'day' : 'minute';
      return { isAdmitted: false, by, retryAfterSeconds: windows[by].endsInSeconds };
    },
    useUp: async (id, ttlSeconds) => (await redis.set(keys.toolConfirmation(id), '1', 'EX', ttlSeconds, 'NX')) === 'OK',
  };
}
