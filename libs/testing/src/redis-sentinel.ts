import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from './free-ports.ts';
import { newRedisDirectory, runRedis } from './redis-server.ts';
import type { RedisServer } from './redis-server.ts';

/** A sentinel that watches that primary under a name, alone (quorum 1). It makes a replica the primary some four seconds after the primary has gone. */
export async function startRedisSentinel(primary: RedisServer, name: string): Promise<RedisServer> {
  const [[port = 0], directory] = await Promise.all([freePorts(1), newRedisDirectory()]);
  const config = join(directory, 'sentinel.conf');
  const lines = [
    `port ${port}`, 'bind 127.0.0.1', `dir ${directory}`,
    `sentinel monitor ${name} 127.0.0.1 ${primary.port} 1`,
    `sentinel down-after-milliseconds ${name} 3000`,
    `sentinel failover-timeout ${name} 3000`,
  ];
  await writeFile(config, `${lines.join('\n')}\n`);
  // It learns of the replicas by asking the primary; before that there would be nothing to fail over to.
  const knowsReplica = async (redis: { call(command: string, args: string[]): Promise<unknown> }): Promise<boolean> => {
    const replicas = await redis.call('SENTINEL', ['REPLICAS', name]);
    return Array.isArray(replicas) && replicas.length > 0;
  };
  return runRedis({ port, directory, args: [config, '--sentinel'], isReady: knowsReplica });
}
