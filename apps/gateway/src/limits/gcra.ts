import { asList, defineScript } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';

/** What a limit admits: `burst` units at once, and one unit more with each interval. */
export interface Rate {
  readonly intervalUs: number;
  readonly burst: number;
}

/** What one call takes of one limit. */
export interface Charge extends Rate {
  readonly key: string;
  readonly cost: number;
  /** Units to take besides, for later calls of this instance; only where more than half of the burst is left after them. */
  readonly lease: number;
}

export interface Taken {
  readonly isAdmitted: boolean;
  /** Units that are left; of a refusal those that are there all the same. */
  readonly remaining: number;
  /** Units that were taken besides the cost. */
  readonly leased: number;
  /** Time until the cost could be taken; 0 where it was. */
  readonly waitMs: number;
}

/** What became of several calls with the same charges. */
export interface TakenTogether {
  /** So many of the calls, in their order, were let in. */
  readonly admitted: number;
  /** Of each charge, after these: what is left to the last of them, or, where one was refused, what refuses the first of those. */
  readonly taken: readonly Taken[];
}

/**
 * The generic cell rate algorithm in its form of virtual scheduling (ITU-T I.371 Annex A, ATM Forum TM 4.1 section 4.4.2), with a cost: a theoretical
 * arrival time (TAT) per key moves on by cost x interval with each admitted call, and a call is refused that would move it further than
 * burst x interval ahead of now. By Redis' clock. All keys or none: a call that one limit refuses takes nothing of the others. Several calls at once are
 * let in as far as they would be one after the other. A TAT further ahead than the burst (the clock went back, or the limit was made smaller) counts as a full one.
 */
const script = defineScript(`
local clock = redis.call('TIME')
-- Since 2023: the fractions of microseconds that are left in a double are needed where intervals are short.
local now = (clock[1] - 1700000000) * 1000000 + clock[2]
local calls = tonumber(ARGV[#ARGV])
local tats, limits, admitted = {}, {}, calls
for at = 1, #KEYS do
  local interval, burst, cost, lease = tonumber(ARGV[at * 4 - 3]), tonumber(ARGV[at * 4 - 2]), tonumber(ARGV[at * 4 - 1]), tonumber(ARGV[at * 4])
  local tolerance = interval * burst
  local tat = math.min(math.max(tonumber(redis.call('GET', KEYS[at]) or 0), now), now + tolerance)
  limits[at] = {interval, burst, cost, lease, tolerance}
  tats[at] = tat
  admitted = math.max(0, math.min(admitted, math.floor((tolerance - (tat - now) + 0.001 * interval) / (cost * interval))))
end
local replies = {admitted}
for at = 1, #KEYS do
  local interval, burst, cost, lease, tolerance = unpack(limits[at])
  local ahead = tats[at] + admitted * cost * interval - now
  if admitted < calls or ahead + lease * interval > tolerance / 2 then lease = 0 end
  ahead = ahead + lease * interval
  if admitted > 0 then redis.call('SET', KEYS[at], string.format('%.3f', now + ahead), 'PX', math.ceil(ahead / 1000) + 1) end
  local wait = admitted < calls and ahead + cost * interval - tolerance - 0.001 * interval or 0
  replies[at + 1] = {wait > 0 and 0 or 1, math.floor((tolerance - ahead) / interval + 0.001), lease, math.max(0, math.ceil(wait / 1000))}
end
return replies`, { isJoined: true });

const toTaken = (reply: unknown): Taken => {
  const [isAdmitted, remaining, leased, waitMs] = asList(reply).map(Number);
  return { isAdmitted: isAdmitted === 1, remaining: remaining ?? 0, leased: leased ?? 0, waitMs: waitMs ?? 0 };
};

/** Takes every charge of a call, or none where one does not fit, for as many of the calls as fit: atomically over all instances. The keys share a hash tag. */
export async function takeFromRedis(redis: Redis, charges: readonly Charge[], calls: number): Promise<TakenTogether> {
  const args = charges.flatMap(({ intervalUs, burst, cost, lease }) => [intervalUs, burst, cost, lease]);
  const [admitted, ...taken] = asList(await script(redis, charges.map(({ key }) => key), [...args, calls]));
  return { admitted: Number(admitted), taken: taken.map(toTaken) };
}

/** Of a unit; for what is lost of fractions of microseconds in sums with large numbers. */
const ROUNDING = 0.001;

/** The same step for one TAT in this process (microseconds of any one clock). `tat` undefined: never seen. */
export function stepLocally(tat: number | undefined, nowUs: number, { intervalUs, burst, cost }: Rate & { readonly cost: number }): Taken & { readonly tat: number } {
  const tolerance = intervalUs * burst;
  const from = Math.min(Math.max(tat ?? 0, nowUs), nowUs + tolerance);
  const to = from + cost * intervalUs;
  const isAdmitted = to - nowUs <= tolerance + ROUNDING * intervalUs;
  const next = isAdmitted ? to : from;
  return { isAdmitted, tat: next, leased: 0, remaining: Math.max(0, Math.floor((tolerance - (next - nowUs)) / intervalUs + ROUNDING)), waitMs: isAdmitted ? 0 : Math.ceil((to - nowUs - tolerance) / 1_000) };
}
