import { MAX_KEPT, MAX_KEPT_WITH_SLACK } from '@millrace/ranking';
import { defineScript } from '@millrace/redis-kit';

/** Items of a category's board, and of the one for all; some more before the lightest are dropped. */
export const MAX_ON_CATEGORY_BOARD = 500;
export const MAX_ON_BOARD = 50_000;

/**
 * KEYS[1] the last applied stream id, then the keys to change; ARGV the id that was read, the id to be, the time to live of users and neighbours in
 * seconds, then for each key its kind, a number n, and n times name and value. Kinds: u text of a user, c hash of counts, p neighbours, b board of a
 * category, a board for all. Answers "ok", or the id that is there instead of the expected one: then nothing was changed.
 */
export const applyCounts = defineScript(`
local applied = redis.call('GET', KEYS[1]) or ''
if applied ~= ARGV[1] then return applied end
local ttl, at = ARGV[3], 4
local function cut(key, kept, slack)
  if redis.call('ZCARD', key) > slack then redis.call('ZREMRANGEBYRANK', key, 0, -kept - 1) end
end
for k = 2, #KEYS do
  local key, kind, n = KEYS[k], ARGV[at], tonumber(ARGV[at + 1])
  at = at + 2
  for i = 1, n do
    local name, value = ARGV[at], ARGV[at + 1]
    at = at + 2
    if kind == 'u' then redis.call('SET', key, value, 'EX', ttl)
    elseif kind == 'c' then redis.call('HINCRBY', key, name, value)
    else redis.call('ZINCRBY', key, value, name) end
    -- With each: one that was ever longer than 128 entries keeps the larger encoding.
    if kind == 'p' then cut(key, ${MAX_KEPT}, ${MAX_KEPT_WITH_SLACK}) end
  end
  if kind == 'b' then cut(key, ${MAX_ON_CATEGORY_BOARD}, ${MAX_ON_CATEGORY_BOARD + 125})
  elseif kind == 'a' then cut(key, ${MAX_ON_BOARD}, ${MAX_ON_BOARD + 1_000}) end
  if kind == 'p' or kind == 'b' then redis.call('EXPIRE', key, ttl) end
end
redis.call('SET', KEYS[1], ARGV[2])
return 'ok'
`);
