import { defineScript } from './script.ts';

/**
 * KEYS lease, fence; ARGV holder, ttlMs. {value of the lease, fencing number}, or {} where another holds it. Numbers rise
 * with each holder, also over a flush: they are at least the present in milliseconds.
 */
export const acquireLease = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return {} end
local time = redis.call('TIME')
local token = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, time[1] * 1000 + math.floor(time[2] / 1000))
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text)
local value = text .. ' ' .. ARGV[1]
redis.call('SET', KEYS[1], value, 'PX', ARGV[2])
return {value, text}`, { whenFull: 'run' });

/** KEYS lease; ARGV value, ttlMs (0 = give it back). 1 where it was ours. */
export const renewLease = defineScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
return 1`, { whenFull: 'run' });
