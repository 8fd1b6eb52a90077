import type { Redis } from 'ioredis';

/** Fields of one INFO, such as `run_id` (changes with every restart) or `redis_version`. Undefined where the server has no such field. */
export async function infoFields(redis: Redis, names: readonly string[]): Promise<readonly (string | undefined)[]> {
  const lines = (await redis.info()).split('\r\n');
  return names.map((name) => lines.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1));
}

/** One field of INFO. */
export const infoField = async (redis: Redis, name: string): Promise<string | undefined> => (await infoFields(redis, [name]))[0];
