import { MAX_KEPT, MAX_KEPT_WITH_SLACK } from '@millrace/ranking';
import { defineScript } from '@millrace/redis-kit';

/** Items of a category's board, and of the one for all; some more before the lightest are dropped. */
export const MAX_ON_CATEGORY_BOARD = 500;
export const MAX_ON_BOARD = 50_000;
/** Events that are kept for a generation that is being built; one more, and its build is given up. About 30 MB. */
export const MAX_TAIL = 250_000;

/**
 * The changes of toScriptArguments: KEYS from `first` on, ARGV from `at` on. Kinds: u text of a user, c hash of counts, p neighbours, b board of a category,
 * a board for all. A time to live is only made longer. Unless `may_grow`, no user, item or list is begun.
 */
const CHANGE = `
local function cut(key, kept, slack)
  if redis.call('ZCARD', key) > slack then redis.call('ZREMRANGEBYRANK', key, 0, -kept - 1) end
end
local function is_new(key, kind, name)
  if kind == 'c' then return redis.call('HEXISTS', key, name) == 0 end
  if kind == 'a' then return not redis.call('ZSCORE', key, name) end
  return redis.call('EXISTS', key) == 0
end
local function change(first, at, may_grow)
  for k = first, #KEYS do
    local key, kind, ttl, n = KEYS[k], ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    at = at + 3
    for i = 1, n do
      local name, value = ARGV[at], ARGV[at + 1]
      at = at + 2
      if not may_grow and is_new(key, kind, name) then
        -- Redis is nearly full: only what is known is counted on.
      elseif kind == 'u' then redis.call('SET', key, value, 'EX', ttl)
      elseif kind == 'c' then redis.call('HINCRBY', key, name, value)
      else redis.call('ZINCRBY', key, value, name) end
      -- With each: one that was ever longer than 128 entries keeps the larger encoding.
      if kind == 'p' then cut(key, ${MAX_KEPT}, ${MAX_KEPT_WITH_SLACK}) end
    end
    if kind == 'b' then cut(key, ${MAX_ON_CATEGORY_BOARD}, ${MAX_ON_CATEGORY_BOARD + 125})
    elseif kind == 'a' then cut(key, ${MAX_ON_BOARD}, ${MAX_ON_BOARD + 1_000}) end
    if (kind == 'p' or kind == 'b') and redis.call('TTL', key) < ttl then redis.call('EXPIRE', key, ttl) end
  end
end
`;

/**
 * KEYS applied, generation, building, user moves, tail, then the keys to change; ARGV what was read of the first four ("" = absent), the id to be applied, "grow" or "", a number n,
 * n events for the tail, the changes. Answers "ok"; or "moved" where generation, building or user moves are others now, "hold" while a swap is near, "overtaken" where another consumer has
 * counted: then nothing was changed.
 */
export const applyCounts = defineScript(`${CHANGE}
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 'overtaken' end
local building = redis.call('GET', KEYS[3]) or ''
if string.sub(building, -5) == ':hold' then return 'hold' end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] or building ~= ARGV[3] or (redis.call('GET', KEYS[4]) or '') ~= ARGV[4] then return 'moved' end
local n = tonumber(ARGV[7])
for i = 8, 7 + n do redis.call('RPUSH', KEYS[5], ARGV[i]) end
if n > 0 then
  redis.call('EXPIRE', KEYS[5], 86400)
  if redis.call('LLEN', KEYS[5]) > ${MAX_TAIL} then redis.call('UNLINK', KEYS[3], KEYS[5]) end
end
change(6, 8 + n, ARGV[6] == 'grow')
redis.call('SET', KEYS[1], ARGV[5])
return 'ok'
`);

/** KEYS building, then the keys to change; ARGV the generation, the changes. Answers "ok", or "lost" where that generation is not being built any more. */
export const addToBuilding = defineScript(`${CHANGE}
local building = redis.call('GET', KEYS[1])
if building ~= ARGV[1] and building ~= ARGV[1] .. ':hold' then return 'lost' end
change(2, 2, true)
return 'ok'
`);

/** KEYS building, tail, user changes, generations; ARGV generation, now in ms, time to live in ms. Whatever was being built before is lost. */
export const beginBuilding = defineScript(`
redis.call('UNLINK', KEYS[2], KEYS[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('ZADD', KEYS[4], ARGV[2], ARGV[1])
return 'ok'
`);

/** KEYS building; ARGV generation, time to live in ms, "" or ":hold". Answers "ok" or "lost". */
export const renewBuilding = defineScript(`
local building = redis.call('GET', KEYS[1])
if building ~= ARGV[1] and building ~= ARGV[1] .. ':hold' then return 'lost' end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[3], 'PX', ARGV[2])
return 'ok'
`);

/**
 * KEYS generation, building, tail, user changes, generations; ARGV the generation, the one that is live, now in ms, how much of tail and of the user changes is in it.
 * Makes it live: "ok"; "more" where something has come meanwhile, "lost".
 */
export const swapGeneration = defineScript(`
local building = redis.call('GET', KEYS[2])
if building ~= ARGV[1] and building ~= ARGV[1] .. ':hold' then return 'lost' end
if redis.call('LLEN', KEYS[3]) ~= tonumber(ARGV[4]) or redis.call('LLEN', KEYS[4]) ~= tonumber(ARGV[5]) then return 'more' end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[2])
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
return 'ok'
`, { whenFull: 'run' });

/** KEYS building, tail, user changes. Where nothing is being built nobody needs the other two: they name users. Answers how many there were. */
export const dropUnused = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
return redis.call('UNLINK', KEYS[2], KEYS[3])
`, { whenFull: 'run' });

/** KEYS building; ARGV generation. The build is over; what it wrote is removed by whoever drops old generations. */
export const giveUpBuilding = defineScript(`
local building = redis.call('GET', KEYS[1])
if building == ARGV[1] or building == ARGV[1] .. ':hold' then redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3]) end
return 'ok'
`, { whenFull: 'run' });
