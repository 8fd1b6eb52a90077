import { closeRedis, connectRedis } from '../src/index.ts';
import type { ConnectOptions, Redis } from '../src/index.ts';

/** Makes connections that `closeAll` ends. */
export function createConnections(): { connect(url: string, role: ConnectOptions['role'], more?: Partial<ConnectOptions>): Redis; closeAll(): Promise<void> } {
  const open: Redis[] = [];
  return {
    connect(url, role, more = {}) {
      const redis = connectRedis(url, { role, name: 'redis-kit test', ...more });
      open.push(redis);
      return redis;
    },
    closeAll: async () => void (await Promise.all(open.splice(0).map((redis) => closeRedis(redis)))),
  };
}
