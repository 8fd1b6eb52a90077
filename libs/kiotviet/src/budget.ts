import { createHash } from 'node:crypto';
import { asList, asText, defineScript } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';

/** Who asks: a caller who waits, a notification of the POS, or the synchronisation. */
export type Lane = 'caller' | 'notice' | 'sync';

/** The share of the hour that is kept for a lane: no other one uses it up, however much it asks. The rest is for whoever comes first. */
export const LANE_FLOORS: Readonly<Record<Lane, number>> = { caller: 0.15, notice: 0.1, sync: 0.25 };

/** The first letter of its fields in Redis. */
const LANE_LETTERS: Readonly<Record<Lane, string>> = { caller: 'c', notice: 'n', sync: 's' };
const FLOORS = (['caller', 'notice', 'sync'] as const).flatMap((lane) => [LANE_LETTERS[lane], LANE_FLOORS[lane]]);

/** A lane; of callers also the one who asks. */
export type Asker = Lane | { readonly caller: string };
export const laneOf = (asker: Asker): Lane => (typeof asker === 'string' ? asker : 'caller');

/** Of what the others have left of the hour, less what is kept for notices and the synchronisation: more than that is no single caller's. */
export const CALLER_SHARE = 0.5;

export interface BudgetState {
  /** GETs of the last 60 to 61 minutes, of all instances. */
  readonly used: number;
  /** What may be used now; below the configured limit where the POS has said 429. */
  readonly limit: number;
  /** Milliseconds for which the POS wants no call at all; 0 = none. */
  readonly blockedMs: number;
}

export interface Budget {
  /** Takes one GET, or says after how many milliseconds it is worth asking again; `isOwn`: it is the caller's own share that is used up. Rejects where Redis cannot be asked: nothing is sent uncounted. */
  take(asker: Asker): Promise<{ readonly isAllowed: true } | { readonly isAllowed: false; readonly waitMs: number; readonly isOwn: boolean }>;
  /** The POS has answered 429: nobody calls for that long, and less than was used is the limit for the next hour. */
  refused(retryAfterMs: number): Promise<void>;
  state(): Promise<BudgetState>;
}

/**
 * Fields: <letter of the lane><minute> = its GETs of that minute; blocked, learned, learned_at. The present minute and the 60 before it count, so no window
 * of 60 minutes has more than the limit, whenever it begins. What was learned rises back to the limit within an hour.
 */
const READ = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local minute = math.floor(time[1] / 60)
local fields = redis.call('HGETALL', KEYS[1])
local used, blocked, learned, learned_at = 0, 0, nil, 0
local by, oldest = {}, {}
for i = 1, #fields, 2 do
  local name, value = fields[i], tonumber(fields[i + 1])
  if name == 'blocked' then blocked = value
  elseif name == 'learned' then learned = value
  elseif name == 'learned_at' then learned_at = value
  else
    local lane, at = string.sub(name, 1, 1), tonumber(string.sub(name, 2))
    if at < minute - 60 then redis.call('HDEL', KEYS[1], name)
    else
      used = used + value
      by[lane] = (by[lane] or 0) + value
      oldest[lane] = math.min(oldest[lane] or minute, at)
    end
  end
end
local limit = tonumber(ARGV[1])
if learned then
  local share = math.max(0, math.min(1, (now - learned_at) / 3600000))
  limit = math.min(limit, math.floor(learned + (limit - learned) * share))
end
local blocked_ms = math.max(0, blocked - now)
`;

/** KEYS budget, that of the caller where there is one; ARGV limit, lane, share of a caller, then each lane and its floor. {1 = taken, ms to wait, 1 = for the caller's own share} */
const takeOne = defineScript(`${READ}
if blocked_ms > 0 then return {0, blocked_ms, 0} end
local floors, kept = {}, 0
for i = 4, #ARGV, 2 do
  floors[ARGV[i]] = math.floor(limit * tonumber(ARGV[i + 1]))
  if ARGV[i] ~= ARGV[2] then kept = kept + math.max(0, floors[ARGV[i]] - (by[ARGV[i]] or 0)) end
end
if used + kept >= limit then
  local first = minute
  for lane, at in pairs(oldest) do
    if lane == ARGV[2] or by[lane] > (floors[lane] or 0) then first = math.min(first, at) end
  end
  return {0, math.max(1000, (first + 61) * 60000 - now), 0}
end
if KEYS[2] then
  local own, first = 0, minute
  local counts = redis.call('HGETALL', KEYS[2])
  for i = 1, #counts, 2 do
    local at = tonumber(string.sub(counts[i], 2))
    if at < minute - 60 then redis.call('HDEL', KEYS[2], counts[i])
    else
      own = own + tonumber(counts[i + 1])
      first = math.min(first, at)
    end
  end
  if own >= math.ceil((limit - kept - (used - own)) * tonumber(ARGV[3])) then return {0, math.max(1000, (first + 61) * 60000 - now), 1} end
end
for i = 1, #KEYS do
  redis.call('HINCRBY', KEYS[i], ARGV[2] .. string.format('%.0f', minute), 1)
  redis.call('PEXPIRE', KEYS[i], 7500000)
end
return {1, 0, 0}`, { whenFull: 'run' });

/** KEYS budget; ARGV limit, ms without calls. */
const learn = defineScript(`${READ}
local till = now + tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'blocked', string.format('%.0f', math.max(blocked, till)), 'learned', string.format('%.0f', math.max(math.floor(tonumber(ARGV[1]) / 10), math.floor(math.min(used, limit) * 0.9))), 'learned_at', string.format('%.0f', till))
redis.call('PEXPIRE', KEYS[1], 7500000)
return 1`, { whenFull: 'run' });

/** KEYS budget; ARGV limit. {used, limit, ms without calls} */
const look = defineScript(`${READ}
return {used, limit, blocked_ms}`, { whenFull: 'run' });

export interface BudgetDeps {
  readonly redis: Redis;
  readonly keys: Pick<Keys, 'posBudget' | 'posBudgetOf'>;
  readonly retailer: string;
  /** GETs in any 60 minutes. */
  readonly hourlyLimit: number;
}

/** Callers' ids of tokens name persons: a key holds their digest. */
const digestOf = (caller: string): string => createHash('sha256').update(caller).digest('hex').slice(0, 32);

/** One budget of GETs for all instances, counted by Redis' clock, and within it of each lane and each caller. A flush of Redis begins the count anew; the POS' own 429 is what holds then. */
export function createBudget({ redis, keys, retailer, hourlyLimit }: BudgetDeps): Budget {
  const key = keys.posBudget(retailer);
  const numbers = (reply: unknown): number[] => asList(reply).map((value) => Number(asText(value)));
  return {
    async take(asker) {
      const own = typeof asker === 'string' ? [] : [keys.posBudgetOf(retailer, digestOf(asker.caller))];
      const [taken, waitMs = 0, isOwn] = numbers(await takeOne(redis, [key, ...own], [hourlyLimit, LANE_LETTERS[laneOf(asker)], CALLER_SHARE, ...FLOORS]));
      return taken === 1 ? { isAllowed: true } : { isAllowed: false, waitMs, isOwn: isOwn === 1 };
    },
    async refused(retryAfterMs) {
      await learn(redis, [key], [hourlyLimit, Math.min(3_600_000, Math.max(1_000, Math.ceil(retryAfterMs)))]);
    },
    async state() {
      const [used = 0, limit = 0, blockedMs = 0] = numbers(await look(redis, [key], [hourlyLimit]));
      return { used, limit, blockedMs };
    },
  };
}
