import { defineScript } from '@millrace/redis-kit';

/**
 * Changes one record if its version is newer than the stored one: the guard and the write are one step, so writers need no lock.
 * KEYS: record, collection, skus, tombstones, live name, plain key. ARGV: put | payload | remove, sku, version, collection, mirrors the live
 * one (1 or 0), ms of now, hash of the text that a payload belongs to, number of fields to clear, those fields, then names and values to set.
 * Returns 1 = written, 0 = not newer, or a payload of another text, -1 = the collection is not there any more.
 * Fields are cleared before the others are set: each of the two is indexed by itself, and mostly there is nothing to clear.
 */
export const writeRecord = defineScript(`
local mode, sku, version, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[6]
if redis.call('HGET', KEYS[2], 'state') ~= 'open' then return -1 end
local stored = redis.call('HMGET', KEYS[1], 'version', 'deleted', 'text_hash')
if stored[1] and tonumber(stored[1]) >= version then return 0 end
if mode == 'payload' and (stored[2] or stored[3] ~= ARGV[7]) then return 0 end
local cleared = tonumber(ARGV[8])
if cleared > 0 then redis.call('HDEL', KEYS[1], unpack(ARGV, 9, 8 + cleared)) end
redis.call('HSET', KEYS[1], 'version', ARGV[3], unpack(ARGV, 9 + cleared))
if mode == 'remove' then
  redis.call('ZREM', KEYS[3], sku)
  redis.call('ZADD', KEYS[4], now, sku)
elseif mode == 'put' then
  redis.call('ZADD', KEYS[3], 0, sku)
  redis.call('ZREM', KEYS[4], sku)
end
if ARGV[5] == '1' and redis.call('GET', KEYS[5]) == ARGV[4] then
  if mode == 'remove' then redis.call('DEL', KEYS[6]) else redis.call('COPY', KEYS[1], KEYS[6], 'REPLACE') end
end
return 1`);

/**
 * Takes the next name of the model, never one that was taken before, and creates its index, complete or not at all. KEYS: set of collections,
 * generations, name of the first one. ARGV: model id, dimensions, document, then FT.CREATE's arguments behind the prefix. Returns the name.
 */
export const createCollection = defineScript(`
local name
repeat
  local generation = redis.call('HINCRBY', KEYS[2], KEYS[3], 1)
  name = generation == 1 and KEYS[3] or KEYS[3] .. '@' .. generation
until redis.call('EXISTS', name) == 0
redis.call('FT.CREATE', name, 'ON', 'HASH', 'PREFIX', '1', name .. ':', unpack(ARGV, 4))
redis.call('HSET', name, 'model_id', ARGV[1], 'dimensions', ARGV[2], 'document', ARGV[3], 'state', 'open')
redis.call('SADD', KEYS[1], name)
return name`);

/** Moves the alias and the name of the live collection together; its plain keys are not complete then, unless it was live already. KEYS: collection, live name. ARGV: alias. Returns 0 where there is no such collection. */
export const swapCollection = defineScript(`
if redis.call('HGET', KEYS[1], 'state') ~= 'open' then return 0 end
redis.call('FT.ALIASUPDATE', ARGV[1], KEYS[1])
if redis.call('GET', KEYS[2]) ~= KEYS[1] then redis.call('HDEL', KEYS[1], 'mirrored') end
redis.call('SET', KEYS[2], KEYS[1])
return 1`);

/** From here on writers are refused. KEYS: collection, live name. Returns 0 where it is live or not there. */
export const markDropped = defineScript(`
if redis.call('GET', KEYS[2]) == KEYS[1] or redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'state', 'dropped')
return 1`);

/** Forgets a tombstone that is still one and still old. KEYS: record, tombstones. ARGV: sku, ms since 1970. Returns 1 = forgotten. */
export const purgeTombstone = defineScript(`
local deleted = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not deleted or tonumber(deleted) > tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1`);

/** Makes a plain key what the live collection has. KEYS: record, plain key, live name. ARGV: collection. */
export const mirrorRecord = defineScript(`
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'deleted') == 1 then return redis.call('DEL', KEYS[2]) end
return redis.call('COPY', KEYS[1], KEYS[2], 'REPLACE')`);
