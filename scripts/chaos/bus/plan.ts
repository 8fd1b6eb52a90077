import { parseArgs } from 'node:util';
import { z } from 'zod';

/** Where a consumer dies: anywhere at all, or exactly there, by its own hand. */
export const points = ['anywhere', 'before its effects', 'before the commit', 'after the commit'] as const;
export type Point = (typeof points)[number];

const count = (fallback: number) => z.coerce.number().int().min(0).default(fallback);
const argumentsSchema = z.object({
  ordering: z.enum(['none', 'key']).default('none'),
  kills: z.coerce.number().int().min(0).optional(),
  'redis-kills': z.coerce.number().int().min(0).optional(),
  messages: count(100_000).pipe(z.int().min(1_000)),
  partitions: z.coerce.number().int().min(1).max(64).optional(),
  seed: z.coerce.number().int().optional(),
});

export interface Plan {
  readonly ordering: 'none' | 'key';
  readonly partitions: number;
  readonly kills: number;
  readonly redisKills: number;
  readonly messages: number;
  readonly seed: number;
  /** Messages a second: so that the kills have about SECONDS_A_KILL each. */
  readonly rate: number;
}

/** A killed consumer needs about 0.7 s of one core until it is back. With leases it also waits for its own one to run out. */
const SECONDS_A_KILL = { none: 1.5, key: 5 } as const;
const MIN_SECONDS = 10;
const MAX_RATE = 2_000;

/** @throws TypeError for kills of Redis together with an order. */
export function parsePlan(args: readonly string[]): Plan {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ args: [...args], options: { ordering: text, kills: text, 'redis-kills': text, messages: text, partitions: text, seed: text } });
  const { ordering, messages, ...given } = argumentsSchema.parse(values);
  const isOrdered = ordering === 'key';
  const kills = given.kills ?? (isOrdered ? 20 : 200);
  const redisKills = given['redis-kills'] ?? (isOrdered ? 0 : 20);
  // The first handling of a lost event is its first one, so it comes after the newer ones that survived.
  if (isOrdered && redisKills > 0) throw new TypeError('Redis that loses entries gets them again behind newer ones: an order can only be looked at without --redis-kills');
  const seconds = Math.max(MIN_SECONDS, kills * SECONDS_A_KILL[ordering], redisKills * 10);
  return {
    ordering, kills, redisKills, messages,
    partitions: given.partitions ?? (isOrdered ? 4 : 1),
    seed: given.seed ?? Date.now() % 1_000_000,
    rate: Math.min(MAX_RATE, messages / seconds),
  };
}

/** After how many messages each kill comes: anywhere in the run, so that some come on each other's heels. Ascending; none in the first 3 or last 5 %. */
export const scattered = (random: () => number, kills: number, messages: number): number[] =>
  Array.from({ length: kills }, () => Math.round(messages * (0.03 + random() * 0.92))).toSorted((a, b) => a - b);

/** The same, with room between them: one in the middle part of each equal share of the run. */
export const spread = (random: () => number, kills: number, messages: number): number[] =>
  Array.from({ length: kills }, (_kill, index) => Math.round((messages * (index + 0.25 + random() / 2)) / kills));
