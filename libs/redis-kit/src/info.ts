import { masterNodes } from './redis.ts';
import type { Redis } from './redis.ts';

/**
 * Fields of the INFO of each master, one row each: of a cluster whoever asks for a share of memory wants the worst of them.
 * A single instance is one row. Empty where no master is known (a cluster that is not ready); rejects where one does not answer.
 */
export const infoOfMasters = (redis: Redis, names: readonly string[]): Promise<readonly (readonly (string | undefined)[])[]> =>
  Promise.all(masterNodes(redis).map((node) => infoFields(node, names)));

/**
 * Fields of one INFO, such as `run_id` (changes with every restart) or `redis_version`. Undefined where the server has no such
 * field. On a cluster the INFO of any one node: fit for what all have in common (the version), see `infoOfMasters` for the rest.
 */
export async function infoFields(redis: Redis, names: readonly string[]): Promise<readonly (string | undefined)[]> {
  const lines = (await redis.info()).split('\r\n');
  return names.map((name) => lines.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1));
}

/** One field of INFO; on a cluster of any one node. */
export const infoField = async (redis: Redis, name: string): Promise<string | undefined> => (await infoFields(redis, [name]))[0];
