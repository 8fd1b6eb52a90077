import { defineScript } from '@millrace/redis-kit';

/** The marker of a group that has to read the export before its next event: "needs-bootstrap <since, microseconds of Redis' clock>". */
export const NEEDS_BOOTSTRAP = 'needs-bootstrap';

/** Lua: the present, in microseconds. Below 2^53 until 2255. */
export const NOW_US = `(function() local t = redis.call('TIME'); return string.format('%.0f', t[1] * 1000000 + t[2]) end)()`;

/**
 * KEYS stream, marker, delayed, mark; ARGV group, canBootstrap (0|1). -1 where the partition was closed, drained and removed: nothing is made
 * again. Creates the group at the start of the stream; a new group is not bootstrapped,
 * whatever an older one of its name was. Only groups that can bootstrap have a marker: no other is ever passed over by trimming.
 */
export const registerGroup = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 0 and string.sub(redis.call('GET', KEYS[4]) or '', 1, 6) == 'closed' then return -1 end
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
local isNew = not (type(made) == 'table' and made.err)
if not isNew and string.sub(made.err, 1, 9) ~= 'BUSYGROUP' then return redis.error_reply(made.err) end
if isNew then redis.call('DEL', KEYS[2], KEYS[3]) end
if ARGV[2] == '1' then redis.call('SET', KEYS[2], '${NEEDS_BOOTSTRAP} ' .. ${NOW_US}, 'NX') end
return isNew and 1 or 0`, { whenFull: 'run' });

/** KEYS stream, marker; ARGV group, mark ('' = none). Creates a group with the mark that it has elsewhere; one that is there stays as it is. */
export const carryGroup = defineScript(`
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if type(made) == 'table' and made.err then
  if string.sub(made.err, 1, 9) == 'BUSYGROUP' then return 0 end
  return redis.error_reply(made.err)
end
if ARGV[2] ~= '' then redis.call('SET', KEYS[2], ARGV[2]) end
return 1`, { whenFull: 'run' });

/** KEYS marker, lock; ARGV consumer, lockMs. {'done'} | {'mine', needed since, now} (also renews) | {'busy'}. */
export const takeBootstrap = defineScript(`
local marker = redis.call('GET', KEYS[1])
local since
if marker then
  if string.sub(marker, 1, ${NEEDS_BOOTSTRAP.length}) ~= '${NEEDS_BOOTSTRAP}' then return {'done'} end
  since = string.match(marker, '%d+$')
end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return {'busy'} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
local now = ${NOW_US}
return {'mine', since or now, now}`, { whenFull: 'run' });

/** KEYS marker, lock, stream; ARGV consumer, completed (0|1), group, nowMs. Marks the group unless it vanished meanwhile; gives the lock back. */
export const endBootstrap = defineScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if ARGV[2] == '0' or redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[3])) do
  if group[2] == ARGV[3] then
    redis.call('SET', KEYS[1], ARGV[4])
    return 1
  end
end
return 0`, { whenFull: 'run' });

/**
 * KEYS stream; ARGV group, idleMs, consumer ('' = all). Removes consumers that hold nothing and were not seen for \`idleMs\`: looked at and
 * removed in one script, since removing one would drop what it holds. Returns how many went.
 */
export const removeConsumers = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local removed = 0
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
  if consumer['pending'] == 0 and consumer['idle'] >= tonumber(ARGV[2]) and (ARGV[3] == '' or consumer['name'] == ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    removed = removed + 1
  end
end
return removed`, { whenFull: 'run' });

/**
 * KEYS stream, attempts; ARGV group, cursor. Drops what was noted of entries that are not pending any more: one that was handled singly while
 * another consumer acknowledged it, by a consumer that died then. {where to go on ('0' = at the end), dropped}
 */
export const dropNotes = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return {'0', 0} end
local reply = redis.call('HSCAN', KEYS[2], ARGV[2], 'COUNT', 500)
local dropped = 0
for i = 1, #reply[2], 2 do
  local id = reply[2][i]
  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) == 0 then dropped = dropped + redis.call('HDEL', KEYS[2], id) end
end
return {reply[1], dropped}`, { whenFull: 'run' });
