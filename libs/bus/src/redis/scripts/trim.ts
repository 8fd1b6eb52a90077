import { defineScript } from '@millrace/redis-kit';
import { NEEDS_BOOTSTRAP, NOW_US } from './group.ts';

/**
 * KEYS stream, progress, then of each known group its marker and its bootstrap lock; ARGV keep, nowMs, stalledMs, backlog (-1 = any), groups...
 * Removes up to 500 of the oldest entries that no group needs any more, while more than \`keep\` are left: {removed, groups passed over now}.
 *
 * A group needs what it has not read and not acknowledged, unless it was passed over (its marker says that it has to bootstrap, and it has not
 * begun to). It is passed over when it can bootstrap (it has a marker, and no bootstrap is under way), is behind, and acknowledged nothing for
 * \`stalledMs\` or is more than \`backlog\` entries behind. A stream without groups is left alone: nobody has said what may go.
 */
export const trimStream = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, {}} end
local keep, now, stalledMs, backlog = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function after(a, b)
  local am, as = string.match(a, '(%d+)-(%d+)')
  local bm, bs = string.match(b, '(%d+)-(%d+)')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am > bm or (am == bm and as > bs)
end
local keysOf = {}
for i = 5, #ARGV do keysOf[ARGV[i]] = {KEYS[2 * (i - 5) + 3], KEYS[2 * (i - 5) + 4]} end

-- How long the group has acknowledged nothing although there is something for it.
local function stalledFor(group, isBehind)
  if not isBehind then
    redis.call('HDEL', KEYS[2], group['name'])
    return 0
  end
  local at = (group['entries-read'] or group['last-delivered-id']) .. '|' .. group['pending']
  if group['entries-read'] then at = tostring(group['entries-read'] - group['pending']) end
  local seen, since = string.match(redis.call('HGET', KEYS[2], group['name']) or '', '^(.*) (%d+)$')
  if seen == at then return now - tonumber(since) end
  redis.call('HSET', KEYS[2], group['name'], at .. ' ' .. ARGV[2])
  return 0
end

local passed, groups = {}, redis.call('XINFO', 'GROUPS', KEYS[1])
-- Every entry up to \`done\` is acknowledged; \`first\` is the first that is not (an oldest pending one).
local done, first
for _, flat in ipairs(groups) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  local delivered, pending = group['last-delivered-id'], group['pending']
  local isBehind = pending > 0 or #redis.call('XRANGE', KEYS[1], '(' .. delivered, '+', 'COUNT', 1) > 0
  local stalled = stalledFor(group, isBehind)
  local keys = keysOf[group['name']]
  local marker = keys and redis.call('EXISTS', keys[2]) == 0 and redis.call('GET', keys[1])
  local isPassedOver = marker and string.sub(marker, 1, ${NEEDS_BOOTSTRAP.length}) == '${NEEDS_BOOTSTRAP}'
  if marker and not isPassedOver and isBehind and (stalled >= stalledMs or (backlog >= 0 and (group['lag'] or 0) + pending > backlog)) then
    redis.call('SET', keys[1], '${NEEDS_BOOTSTRAP} ' .. ${NOW_US})
    passed[#passed + 1] = group['name']
    isPassedOver = true
  end
  if not isPassedOver then
    if pending > 0 then
      local oldest = redis.call('XPENDING', KEYS[1], group['name'])[2]
      if not first or after(first, oldest) then first = oldest end
    elseif not done or after(done, delivered) then
      done = delivered
    end
  end
end

local excess = math.min(500, redis.call('XLEN', KEYS[1]) - keep)
if excess <= 0 or #groups == 0 then return {0, passed} end
local last
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', excess)) do
  if (first and not after(first, entry[1])) or (done and after(entry[1], done)) then break end
  last = entry[1]
end
if not last then return {0, passed} end
local ms, seq = string.match(last, '(%d+)-(%d+)')
return {redis.call('XTRIM', KEYS[1], 'MINID', '=', ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)), passed}`, { whenFull: 'run' });

/** KEYS stream; ARGV exclusive start, count. How many entries follow, and the id of the last one counted: their payloads stay in Redis. */
export const countEntries = defineScript(`
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
if #entries == 0 then return {0, ARGV[1]} end
return {#entries, entries[#entries][1]}`, { whenFull: 'run' });
