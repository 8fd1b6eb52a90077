import type { Cluster, Redis } from 'ioredis';
import type { Pool } from 'pg';

async function readKey(redis: Redis | Cluster, key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'hash':
      return redis.hgetall(key);
    case 'set':
      return redis.smembers(key);
    case 'zset':
      return redis.zrange(key, '0', '-1');
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'stream':
      return redis.call('XRANGE', [key, '-', '+']);
    default:
      return redis.get(key);
  }
}

/**
 * Tables (every schema but Postgres' own; `pool` must see them all) with a row, and keys of Redis with a name or a value, that hold the text. For small
 * servers of a test: it reads all of both.
 */
export async function findEverywhere(pool: Pick<Pool, 'query'>, redis: Redis | Cluster, text: string): Promise<readonly string[]> {
  const { rows } = await pool.query<{ name: string }>(`select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`);
  const found: string[] = [];
  for (const { name } of rows) if ((await pool.query(`select 1 from ${name} as t where strpos(t::text, $1) > 0 limit 1`, [text])).rowCount === 1) found.push(name);
  for (const key of await redis.keys('*')) if (`${key} ${JSON.stringify(await readKey(redis, key))}`.includes(text)) found.push(key);
  return found;
}
