import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { testServer, uniqueName } from '@millrace/testing';
import { openRedisVectorAdmin, openRedisVectorReader, type RedisVectorOptions, type VectorAdmin, type VectorReader } from '../../src/index.ts';
import type { VectorStoreUnderTest } from '../../src/testing.ts';

/** Keys and an alias of its own on the server that the test runner names. */
export async function redisStore(changed: Partial<RedisVectorOptions> = {}): Promise<VectorStoreUnderTest & { readonly options: RedisVectorOptions }> {
  const options: RedisVectorOptions = { url: changed.url ?? testServer('redis-stack'), alias: uniqueName('vectors'), keyPrefix: uniqueName('embedding'), ...changed };
  const opened: (VectorAdmin | VectorReader)[] = [];
  const track = <T extends VectorAdmin | VectorReader>(handle: T): T => {
    opened.push(handle);
    return handle;
  };
  return {
    options,
    openAdmin: async () => track(await openRedisVectorAdmin(options)),
    openReader: async () => track(await openRedisVectorReader(options)),
    async destroy() {
      for (const handle of opened) await handle.close();
      const redis = connectRedis(options.url, { role: 'background', name: 'test' });
      await whenReady(redis);
      for (const collection of await redis.smembers(`${options.alias}:collections`)) await redis.call('FT.DROPINDEX', [collection]);
      const keys = [...(await redis.keys(`${options.keyPrefix}*`)), ...(await redis.keys(`${options.alias}*`))];
      if (keys.length > 0) await redis.unlink(...keys);
      await closeRedis(redis);
    },
  };
}
