import { defineScript } from '@millrace/redis-kit';
import { LETTER_FIELDS } from '../../admin/dead-letters.ts';

/**
 * KEYS dead letters, stream, mark; ARGV id, layout id. Appends the entry's own fields to the stream and removes the letter: 1, 0 where it is not
 * there, -1 where the topic has moved. For keys of one hash slot.
 */
export const replayLetter = defineScript(`
if redis.call('GET', KEYS[3]) ~= ARGV[2] then return -1 end
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then return 0 end
redis.call('XADD', KEYS[2], '*', unpack(entry[2], ${2 * LETTER_FIELDS + 1}))
return redis.call('XDEL', KEYS[1], ARGV[1])`);

/** KEYS stream, mark; ARGV layout id, fields... Appends one entry: 1, or -1 where the topic has moved. */
export const appendEntry = defineScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return -1 end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
return 1`);

/** KEYS dead letters; ARGV id, data. Replaces the field \`data\`: the letter's new id, or '' where it is not there. */
export const replaceLetterData = defineScript(`
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then return '' end
local fields, found = entry[2], false
for i = ${2 * LETTER_FIELDS + 1}, #fields, 2 do
  if fields[i] == 'data' then
    fields[i + 1] = ARGV[2]
    found = true
  end
end
if not found then
  fields[#fields + 1] = 'data'
  fields[#fields + 1] = ARGV[2]
end
local id = redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('XDEL', KEYS[1], ARGV[1])
return id`);

/**
 * KEYS stream, then the group's side keys; ARGV group, seenMs, force (0|1). Removes the group, unless a consumer was seen in the last \`seenMs\`:
 * {pending, unread} | {'used', consumer} | {} where there is no such group.
 */
export const dropGroup = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local group
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local one = {}
  for i = 1, #flat, 2 do one[flat[i]] = flat[i + 1] end
  if one['name'] == ARGV[1] then group = one end
end
if not group then return {} end
if ARGV[3] == '0' then
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local one = {}
    for i = 1, #flat, 2 do one[flat[i]] = flat[i + 1] end
    if one['idle'] < tonumber(ARGV[2]) then return {'used', one['name']} end
  end
end
redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
return {'dropped'}`, { whenFull: 'run' });
