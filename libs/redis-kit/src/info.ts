import type { Redis } from 'ioredis';

/** One field of INFO, such as `run_id` (changes with every restart) or `redis_version`. Undefined where the server has no such field. */
export async function infoField(redis: Redis, field: string): Promise<string | undefined> {
  const info = await redis.info();
  for (const line of info.split('\r\n')) {
    if (line.startsWith(`${field}:`)) return line.slice(field.length + 1);
  }
  return undefined;
}
