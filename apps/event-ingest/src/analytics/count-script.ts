import { defineScript } from '@millrace/redis-kit';

/**
 * KEYS[1] the last applied stream id, KEYS[2] the counts, then a HyperLogLog for each day; ARGV the id that was read, the id to be, the id of a new set of
 * counts, how many counts there may be, the times to live of counts and of users in seconds, a number n and n times field and value; then for each day a number and users. Answers "ok";
 * "full" where there would be too many; or the id that is there instead of the expected one. Then nothing was changed.
 */
export const applyCounts = defineScript(`
local applied = redis.call('GET', KEYS[1]) or ''
if applied ~= ARGV[1] then return applied end
local n = tonumber(ARGV[7])
if redis.call('HLEN', KEYS[2]) + n > tonumber(ARGV[4]) then return 'full' end
local at = 8
if n > 0 then
  redis.call('HSETNX', KEYS[2], 'id', ARGV[3])
  for i = 1, n do
    redis.call('HINCRBY', KEYS[2], ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  redis.call('EXPIRE', KEYS[2], ARGV[5])
end
for k = 3, #KEYS do
  local m = tonumber(ARGV[at])
  for i = 1, m do redis.call('PFADD', KEYS[k], ARGV[at + i]) end
  at = at + m + 1
  redis.call('EXPIRE', KEYS[k], ARGV[6])
end
redis.call('SET', KEYS[1], ARGV[2])
return 'ok'
`);

/**
 * KEYS[1] the counts, KEYS[2] the sealed ones. Seals the counts where nothing is sealed: from then on nothing is added to them. Answers the id of what is sealed
 * and since when (milliseconds), by Redis' clock; nil where there is nothing.
 */
export const sealCounts = defineScript(`
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
if redis.call('EXISTS', KEYS[2]) == 0 then
  if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], 'sealed_at', string.format('%d', ms))
end
local sealed = redis.call('HMGET', KEYS[2], 'id', 'sealed_at')
return { sealed[1], sealed[2], string.format('%d', ms) }
`, { whenFull: 'run' });

/** KEYS[1] sealed counts, ARGV[1] their id: removes them, not others. */
export const dropSealed = defineScript(`
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end
return 0
`, { whenFull: 'run' });
