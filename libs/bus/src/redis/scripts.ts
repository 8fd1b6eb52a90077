import { defineScript } from '@millrace/redis-kit';

/** KEYS stream, bootstrapped; ARGV group. Creates the group at the start of the stream; a new group is not bootstrapped, whatever an older one of its name was. */
export const registerGroup = defineScript(`
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if type(made) == 'table' and made.err then
  if string.sub(made.err, 1, 9) == 'BUSYGROUP' then return 0 end
  return redis.error_reply(made.err)
end
redis.call('DEL', KEYS[2])
return 1`);

/**
 * KEYS stream, attempts; ARGV group, consumer, id, maxAttempts, nowMs. Counts one handling of an entry that this consumer holds and returns
 * it: {'claimed', attempts, fields} | {'exhausted', attempts} | {'deleted'} | {'gone'}.
 */
export const claimEntry = defineScript(`
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])[1]
if not pending then return {'gone'} end
if pending[4] >= tonumber(ARGV[4]) then return {'exhausted', pending[4]} end
local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3])[1]
if not entry then
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
  redis.call('HDEL', KEYS[2], ARGV[3])
  return {'deleted'}
end
redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[5])
return {'claimed', pending[4] + 1, entry[2]}`);

/**
 * KEYS stream, dead letters, attempts; ARGV group, consumer, id, reason, attempts, nowMs, maxLength. Copies an entry to the dead letters
 * (our seven fields first, then the entry's own) and acknowledges it. Returns 0 where it is not pending any more: somebody else was first.
 */
export const parkEntry = defineScript(`
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1) == 0 then return 0 end
local entry = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])[1]
if entry then
  local since = redis.call('HGET', KEYS[3], ARGV[3]) or ARGV[6]
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[7], '*', 'reason', ARGV[4], 'source_id', ARGV[3], 'group', ARGV[1], 'consumer', ARGV[2],
    'attempts', ARGV[5], 'first_seen', since, 'last_seen', ARGV[6], unpack(entry[2]))
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('HDEL', KEYS[3], ARGV[3])
return 1`);

/** KEYS stream; ARGV group, consumer, ids... Resets the idle time of those that this consumer still holds; never takes one back from another. */
export const touchEntries = defineScript(`
local touched = 0
for i = 3, #ARGV do
  if redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])[1] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    touched = touched + 1
  end
end
return touched`);

/** KEYS marker, lock; ARGV consumer, lockMs. 'done' | 'mine' (also renews) | 'busy'. */
export const takeBootstrap = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 'done' end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return 'busy' end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 'mine'`);

/** KEYS marker, lock, stream; ARGV consumer, completed (0|1), group, nowMs. Marks the group unless it vanished meanwhile; gives the lock back. */
export const endBootstrap = defineScript(`
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
if ARGV[2] == '0' or redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[3])) do
  if group[2] == ARGV[3] then
    redis.call('SET', KEYS[1], ARGV[4])
    return 1
  end
end
return 0`);

/**
 * KEYS stream; ARGV keep. Removes up to 500 of the oldest entries that every group has acknowledged, while more than \`keep\` are left.
 * Returns how many. A stream without groups is left alone: nobody has said what may go.
 */
export const trimAcknowledgedEntries = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local function after(a, b)
  local am, as = string.match(a, '(%d+)-(%d+)')
  local bm, bs = string.match(b, '(%d+)-(%d+)')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am > bm or (am == bm and as > bs)
end
local excess = math.min(500, redis.call('XLEN', KEYS[1]) - tonumber(ARGV[1]))
if excess <= 0 then return 0 end
-- Every entry up to \`done\` is acknowledged; \`first\` is the first that is not (an oldest pending one).
local done, first
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if group['pending'] > 0 then
    local oldest = redis.call('XPENDING', KEYS[1], group['name'])[2]
    if not first or after(first, oldest) then first = oldest end
  elseif not done or after(done, group['last-delivered-id']) then
    done = group['last-delivered-id']
  end
end
if not first and not done then return 0 end
local last
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', excess)) do
  if (first and not after(first, entry[1])) or (done and after(entry[1], done)) then break end
  last = entry[1]
end
if not last then return 0 end
local ms, seq = string.match(last, '(%d+)-(%d+)')
return redis.call('XTRIM', KEYS[1], 'MINID', '=', ms .. '-' .. string.format('%.0f', tonumber(seq) + 1))`);

/** KEYS stream; ARGV exclusive start, count. How many entries follow, and the id of the last one counted: their payloads stay in Redis. */
export const countEntries = defineScript(`
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
if #entries == 0 then return {0, ARGV[1]} end
return {#entries, entries[#entries][1]}`);
