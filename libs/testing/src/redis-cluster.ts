import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { eventually } from './eventually.ts';
import { clusterConfigFiles, clusterSettings } from './redis-cluster-config.ts';
import type { ClusterNode } from './redis-cluster-config.ts';
import { freePorts } from './free-ports.ts';
import { askRedis, newRedisDirectory, runRedis, serverArguments } from './redis-server.ts';
import type { RedisServer } from './redis-server.ts';

export interface RedisCluster {
  /** `redis-cluster://…` with every node. */
  readonly url: string;
  /** The masters, then a replica of each in the same order where there are any. Roles change with a failover, places here do not. */
  readonly nodes: readonly RedisServer[];
  /** Kills all and removes their directories. */
  stop(): Promise<void>;
}

export interface RedisClusterOptions {
  readonly masters?: number;
  /** Of each master. */
  readonly replicas?: 0 | 1;
  /** After so long without an answer a node is taken for dead; its replica takes over about a second later. Short ones see dead nodes on a busy machine. */
  readonly nodeTimeoutMs?: number;
  /** For every node: `['--appendonly', 'yes']`. */
  readonly extraArguments?: readonly string[];
}

/** It takes writes, and a replica is in step. */
async function isClusterNodeReady(redis: Redis): Promise<boolean> {
  const [state, replication] = await Promise.all([redis.cluster('INFO'), redis.info('replication')]);
  return state.includes('cluster_state:ok') && (replication.includes('role:master') || replication.includes('master_link_status:up'));
}

async function startNode({ port, busPort }: ClusterNode, config: string, { nodeTimeoutMs = 1_500, extraArguments = [] }: RedisClusterOptions): Promise<RedisServer> {
  const directory = await newRedisDirectory();
  await writeFile(join(directory, 'nodes.conf'), config);
  const settings = clusterSettings(busPort, nodeTimeoutMs).flatMap(([name, value]) => [`--${name}`, value]);
  return runRedis({ port, directory, args: [...serverArguments(port, directory), ...settings, ...extraArguments] });
}

/** A Redis Cluster of the test's own; about 2.5 s. Ready when it resolves: every node knows all slots, replicas are in step. Needs TEST_REDIS_SERVER_BIN. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicas = 0 } = options;
  const count = masters * (1 + replicas);
  const ports = await freePorts(2 * count);
  const places = Array.from({ length: count }, (_value, at): ClusterNode => ({ port: ports[at] ?? 0, busPort: ports[count + at] ?? 0 }));
  const configs = clusterConfigFiles(places, masters);
  const started = await Promise.allSettled(places.map((place, at) => startNode(place, configs[at] ?? '', options)));
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const stop = async (): Promise<void> => void (await Promise.all(nodes.map((node) => node.stop())));
  try {
    for (const one of started) if (one.status === 'rejected') throw one.reason;
    await Promise.all(places.map(({ port }) => eventually(() => askRedis(port, isClusterNodeReady), { timeoutMs: 20_000, everyMs: 50 })));
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: clusterUrl(places.map(({ port }) => port)), nodes, stop };
}

function clusterUrl([first, ...others]: readonly number[]): string {
  return `redis-cluster://127.0.0.1:${first}${others.map((port, at) => `${at === 0 ? '?' : '&'}node=127.0.0.1:${port}`).join('')}`;
}
