import { defineScript } from '@millrace/redis-kit';

/**
 * KEYS session, messages, list. `used` moves the end of all three on; `state` is what every script answers. A command that is sent again after a lost
 * connection is known by its token and changes nothing.
 */
const common = `
local function used(now, ttl, member)
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
  redis.call('ZADD', KEYS[3], now + ttl, member)
  redis.call('PEXPIRE', KEYS[3], ttl)
  redis.call('HSET', KEYS[1], 'expires', string.format('%.0f', now + ttl))
end
local function state()
  return {'ok', redis.call('HGETALL', KEYS[1])}
end`;

/** ARGV now, ttlMs, member, title, plan, bytes, most sessions, beginning of the owner's members. {full} or the state. */
export const createScript = defineScript(`${common}
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[1])
local own = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  if string.sub(member, 1, #ARGV[8]) == ARGV[8] and member ~= ARGV[3] then own = own + 1 end
end
if own >= tonumber(ARGV[7]) then return {'full'} end
redis.call('HSET', KEYS[1], 'version', 1, 'messages', 0, 'title', ARGV[4], 'plan', ARGV[5], 'stateBytes', ARGV[6], 'messageBytes', 0, 'created', ARGV[1], 'updated', ARGV[1])
used(tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3])
return state()`);

/** ARGV now, ttlMs, member. {absent} or the state. */
export const readScript = defineScript(`${common}
if redis.call('EXISTS', KEYS[1]) == 0 then return {'absent'} end
used(tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3])
return state()`, { whenFull: 'run' });

const change = `${common}
if redis.call('EXISTS', KEYS[1]) == 0 then return {'absent'} end
if redis.call('HGET', KEYS[1], 'token') == ARGV[4] then return state() end
local version = redis.call('HGET', KEYS[1], 'version')
if ARGV[5] ~= '*' and not string.find(',' .. ARGV[5] .. ',', ',' .. version .. ',', 1, true) then return {'changed', version} end
local sizes = redis.call('HMGET', KEYS[1], 'stateBytes', 'messageBytes', 'messages')`;
const changed = `
redis.call('HSET', KEYS[1], 'token', ARGV[4], 'updated', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'version', 1)
used(tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3])
return state()`;

/** ARGV now, ttlMs, member, token, versions, most bytes, bytes, title, plan. {absent}, {changed, version}, {long} or the state. */
export const replaceScript = defineScript(`${change}
if tonumber(sizes[2]) + tonumber(ARGV[7]) > tonumber(ARGV[6]) then return {'long'} end
redis.call('HSET', KEYS[1], 'title', ARGV[8], 'plan', ARGV[9], 'stateBytes', ARGV[7])${changed}`);

/** ARGV now, ttlMs, member, token, versions, most bytes, bytes, message, most messages. As replace. */
export const appendScript = defineScript(`${change}
if tonumber(sizes[1]) + tonumber(sizes[2]) + tonumber(ARGV[7]) > tonumber(ARGV[6]) or tonumber(sizes[3]) >= tonumber(ARGV[9]) then return {'long'} end
redis.call('RPUSH', KEYS[2], ARGV[8])
redis.call('HINCRBY', KEYS[1], 'messageBytes', ARGV[7])
redis.call('HINCRBY', KEYS[1], 'messages', 1)${changed}`);

/** ARGV member. How many there were. */
export const removeScript = defineScript(`
redis.call('ZREM', KEYS[3], ARGV[1])
local found = redis.call('EXISTS', KEYS[1])
redis.call('DEL', KEYS[1], KEYS[2])
return found`, { whenFull: 'run' });
