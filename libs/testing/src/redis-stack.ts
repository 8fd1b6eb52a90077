import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Redis } from 'ioredis';
import { freePorts } from './free-ports.ts';
import { newRedisDirectory, runRedis, serverArguments } from './redis-server.ts';
import type { RedisServer } from './redis-server.ts';
import { testServer } from './servers.ts';

/** Where the program and the module of TEST_REDIS_STACK_URL are: asked of that server, which runs on this machine. */
async function findProgram(): Promise<{ path: string; module: string }> {
  const redis = new Redis(testServer('redis-stack'), { protocol: 2 });
  try {
    const path = /^executable:(.+)\r$/m.exec(await redis.info('server'))?.[1];
    const modules: unknown = await redis.call('MODULE', 'LIST');
    const module = Array.isArray(modules) ? modules.flat().find((value: unknown) => typeof value === 'string' && value.endsWith('redisearch.so')) : undefined;
    if (path === undefined || typeof module !== 'string') throw new Error('the redis-stack server has no search module');
    return { path, module };
  } finally {
    redis.disconnect();
  }
}

/**
 * Redis with its search module and an append-only file that is written every second, of the test's own, on a free port. Its settings are in
 * `redis.conf` of its directory: a test may change them before a restart. Needs TEST_REDIS_STACK_URL, of a server on this machine.
 */
export async function startRedisStack(): Promise<RedisServer> {
  const [{ path, module }, [port = 0], directory] = await Promise.all([findProgram(), freePorts(1), newRedisDirectory()]);
  const config = join(directory, 'redis.conf');
  await writeFile(config, `appendonly yes\nloadmodule ${module}\n`);
  const env = { ...process.env, LD_LIBRARY_PATH: join(dirname(module), 'lib') };
  return runRedis({ port, directory, args: [config, ...serverArguments(port, directory)], program: { path, env } });
}
