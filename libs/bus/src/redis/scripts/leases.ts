import { defineScript } from '@millrace/redis-kit';

/** KEYS members; ARGV member, ttlMs (0 = leave). Sorted set member -> end of its membership, by Redis' clock. Returns the members, sorted. */
export const joinMembers = defineScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if tonumber(ARGV[2]) > 0 then
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(members)
return members`, { whenFull: 'run' });
