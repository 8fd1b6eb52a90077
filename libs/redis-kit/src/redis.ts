import { Cluster } from 'ioredis';
import type { Redis as SingleRedis } from 'ioredis';

export type { SingleRedis };

/**
 * A connection to one server (also by Sentinel) or to a cluster: commands, pipelines, `status` and events are the same. On a cluster the
 * keys of one command, script or MULTI share a hash tag, and those of a pipeline a node. (TypeScript cannot match the overloads of
 * `xclaim` over the two: `call('XCLAIM', …)`.)
 */
export type Redis = SingleRedis | Cluster;

export const isCluster = (redis: Redis): redis is Cluster => redis instanceof Cluster;

/**
 * The connections to the masters, for what is a server's and not a key's (INFO, CLIENT, FLUSHALL); a single instance is its own.
 * Of a cluster those that are known now: complete once it is ready, without a master that is away.
 */
export const masterNodes = (redis: Redis): readonly SingleRedis[] => (isCluster(redis) ? redis.nodes('master') : [redis]);
