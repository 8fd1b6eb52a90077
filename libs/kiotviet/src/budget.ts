import { asList, asText, defineScript } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';

/** Who asks: a caller who waits, a notification of the POS, or the synchronisation. */
export type Lane = 'caller' | 'notice' | 'sync';

/** The share of the hour that a lane may use up: what is left is for those before it. */
export const LANE_SHARES: Readonly<Record<Lane, number>> = { caller: 1, notice: 0.9, sync: 0.75 };

export interface BudgetState {
  /** GETs of the last 60 to 61 minutes, of all instances. */
  readonly used: number;
  /** What may be used now; below the configured limit where the POS has said 429. */
  readonly limit: number;
  /** Milliseconds for which the POS wants no call at all; 0 = none. */
  readonly blockedMs: number;
}

export interface Budget {
  /** Takes one GET, or says after how many milliseconds it is worth asking again. Rejects where Redis cannot be asked: nothing is sent uncounted. */
  take(lane: Lane): Promise<{ readonly isAllowed: true } | { readonly isAllowed: false; readonly waitMs: number }>;
  /** The POS has answered 429: nobody calls for that long, and less than was used is the limit for the next hour. */
  refused(retryAfterMs: number): Promise<void>;
  state(): Promise<BudgetState>;
}

/**
 * Fields: m<minute> = GETs of that minute; blocked, learned, learned_at. The present minute and the 60 before it count, so no window of 60 minutes
 * has more than the limit, whenever it begins. What was learned rises back to the limit within an hour.
 */
const READ = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local minute = math.floor(time[1] / 60)
local fields = redis.call('HGETALL', KEYS[1])
local used, oldest, blocked, learned, learned_at = 0, minute, 0, nil, 0
for i = 1, #fields, 2 do
  local name, value = fields[i], tonumber(fields[i + 1])
  if name == 'blocked' then blocked = value
  elseif name == 'learned' then learned = value
  elseif name == 'learned_at' then learned_at = value
  else
    local at = tonumber(string.sub(name, 2))
    if at < minute - 60 then redis.call('HDEL', KEYS[1], name)
    else
      used = used + value
      if at < oldest then oldest = at end
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

/** KEYS budget; ARGV limit, share of the lane. {1 = taken, ms to wait} */
const takeOne = defineScript(`${READ}
if blocked_ms > 0 then return {0, blocked_ms} end
if used >= math.floor(limit * tonumber(ARGV[2])) then return {0, math.max(1000, (oldest + 61) * 60000 - now)} end
redis.call('HINCRBY', KEYS[1], 'm' .. string.format('%.0f', minute), 1)
redis.call('PEXPIRE', KEYS[1], 7500000)
return {1, 0}`, { whenFull: 'run' });

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
  readonly key: string;
  /** GETs in any 60 minutes. */
  readonly hourlyLimit: number;
}

/** One budget of GETs for all instances, counted by Redis' clock. A flush of Redis begins the count anew; the POS' own 429 is what holds then. */
export function createBudget({ redis, key, hourlyLimit }: BudgetDeps): Budget {
  const numbers = (reply: unknown): number[] => asList(reply).map((value) => Number(asText(value)));
  return {
    async take(lane) {
      const [taken, waitMs = 0] = numbers(await takeOne(redis, [key], [hourlyLimit, LANE_SHARES[lane]]));
      return taken === 1 ? { isAllowed: true } : { isAllowed: false, waitMs };
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
