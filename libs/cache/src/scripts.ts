import { defineScript } from '@millrace/redis-kit';

/*
 * One hash a part of the cache holds the purge clock: `:clock` (grows with every purge), `:epoch` (what is older is gone: set anew by a purge of everything and
 * whenever the hash had to be made), and `tag:<t>` for each tag: the clock's value at its last purge. All of it in one key, so that a Redis that evicts
 * loses all of it or nothing; without it nothing is valid. Clocks are microseconds of Redis' own time at first, so that a later one is never smaller.
 * An answer is valid while its clock, read before the origin was asked, is not below the epoch nor below any of its tags (nor above the clock: then Redis' time
 * went back when it lost the hash).
 */
const HELPERS = `
local function microseconds()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local function text(number) return string.format('%.0f', number) end
local function is_valid(clock, tags)
  local marks = redis.call('HMGET', KEYS[2], ':clock', ':epoch', unpack(tags))
  if not marks[1] or tonumber(marks[1]) < clock then return false end
  for at = 2, #tags + 2 do
    if marks[at] and tonumber(marks[at]) > clock then return false end
  end
  return true
end
local function read()
  local entry = redis.call('HMGET', KEYS[1], 'clock', 'stored', 'fresh', 'tags', 'meta', 'body')
  if not entry[1] or not is_valid(tonumber(entry[1]), cmsgpack.unpack(entry[4])) then return nil end
  local age = math.max(0, math.floor(microseconds() / 1000) - tonumber(entry[2]))
  return { text(age), entry[3], entry[5], entry[6] }
end
`;

/** KEYS: entry, clock. -> {age, fresh, meta, body} or nil */
export const lookupScript = defineScript(`${HELPERS} return read()`, { replies: 'bytes', isJoined: true });

/**
 * KEYS: entry, clock, lock; ARGV: token, milliseconds of the lock (0: none is wanted).
 * -> {age, fresh, meta, body}: there is a fresh answer; {clock}: ask the origin now; {}: somebody else is asking it.
 */
export const beginScript = defineScript(
  `${HELPERS}
local found = read()
if found and tonumber(found[1]) < tonumber(found[2]) then return found end
local clock = redis.call('HGET', KEYS[2], ':clock')
if not clock then
  clock = text(microseconds())
  redis.call('HSET', KEYS[2], ':clock', clock, ':epoch', clock)
end
if ARGV[2] == '0' or redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2]) then return { clock } end
return {}`,
  { replies: 'bytes' },
);

/** KEYS: entry, clock, lock; ARGV: token, clock, fresh ms, kept ms, meta, body, tags. -> 1 stored, 0 dropped: purged since the clock was read. Gives back the lock. */
export const storeScript = defineScript(`${HELPERS}
if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
local tags = {}
for at = 7, #ARGV do tags[#tags + 1] = ARGV[at] end
if not is_valid(tonumber(ARGV[2]), tags) then return 0 end
redis.call('HSET', KEYS[1], 'clock', ARGV[2], 'stored', text(math.floor(microseconds() / 1000)), 'fresh', ARGV[3], 'tags', cmsgpack.pack(tags), 'meta', ARGV[5], 'body', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`);

/** KEYS: lock; ARGV: token, milliseconds (0: give it back). -> 1, or 0 where the lock is not ours any more. */
export const holdScript = defineScript(
  `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
  { whenFull: 'run' },
);

/** KEYS: clock; ARGV: most fields of the hash, tags (none: everything). Beyond that many the hash begins anew, which purges everything. */
export const purgeScript = defineScript(
  `local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local clock = tonumber(redis.call('HGET', KEYS[1], ':clock') or '0')
if #ARGV == 1 or clock == 0 or redis.call('HLEN', KEYS[1]) + #ARGV > tonumber(ARGV[1]) then
  clock = string.format('%.0f', math.max(now, clock + 1))
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], ':clock', clock, ':epoch', clock)
  return 0
end
clock = string.format('%.0f', clock + 1)
redis.call('HSET', KEYS[1], ':clock', clock)
for at = 2, #ARGV do redis.call('HSET', KEYS[1], ARGV[at], clock) end
return #ARGV - 1`,
  { whenFull: 'run' },
);
