import { defineScript, sendByNode } from '@millrace/redis-kit';
import type { KeyedCommand, Keys, Redis, SubscriberKeys } from '@millrace/redis-kit';
import type { PoolClient } from 'pg';
import { removeGeneration } from '../generations/remove-keys.ts';
import { indexSizes } from '../generations/write-generation.ts';
import type { Counts } from '../generations/write-generation.ts';
import { schema } from '../load/tables.ts';

/** Where the hash of counts is, the generation is whole: it must not come into being here. */
const correctStats = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1`, { whenFull: 'run' });

function removals(names: SubscriberKeys, counts: Counts, isdns: readonly string[]): KeyedCommand[] {
  const own = isdns.flatMap((isdn) => [names.recommendation(isdn), names.profile(isdn), names.body(isdn), names.absent(isdn)]);
  return [
    ...own.map((key): KeyedCommand => ({ key, name: 'UNLINK', args: [key] })),
    ...indexSizes(names, counts).map(({ key, command }): KeyedCommand => ({ key, name: command === 'ZCARD' ? 'ZREM' : 'SREM', args: [key, ...isdns] })),
  ];
}

interface SetRow {
  readonly redis: number;
  readonly state: 'building' | 'ready' | 'dropped';
  readonly stats: Counts;
  readonly arpu_rows: number;
}

/**
 * Removes subscribers from every generation of Redis that may be there, and from the keys without a number. Whatever a killed load left unfinished
 * goes whole: nobody knows what it has. Safe to repeat. `client` must hold the lock of loads, and the tables must be without them already.
 */
export async function eraseFromRedis(client: PoolClient, redis: Redis, keys: Keys, isdns: readonly string[]): Promise<void> {
  const { rows: sets } = await client.query<SetRow>(
    `select s.redis, s.state, s.stats, a.rows::int as arpu_rows from ${schema}.generation_sets s join ${schema}.dataset_generations a on a.dataset = 'arpu' and a.number = s.arpu where s.redis > 0`,
  );
  for (const { redis: generation, state, stats, arpu_rows: arpuRows } of sets) {
    if (state === 'dropped') continue;
    const names = keys.subscribers(generation);
    if (Object.keys(stats).length === 0) {
      await removeGeneration(redis, keys, generation);
      await client.query(`update ${schema}.generation_sets set state = 'dropped' where redis = $1`, [generation]);
      continue;
    }
    await sendByNode(redis, removals(names, stats, isdns));
    await correctStats(redis, [names.stats], Object.entries({ ...stats, arpu: arpuRows }).flatMap(([name, value]) => [name, value]));
  }
  // Copies may be of a generation that is long gone.
  const all: Counts = Object.assign({}, ...sets.map(({ stats }) => stats));
  await sendByNode(redis, removals(keys.subscribers(), all, isdns));
}
