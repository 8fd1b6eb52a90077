import { closeRedis, connectRedis } from '../src/index.ts';
import type { ConnectOptions, Redis } from '../src/index.ts';

interface Connections {
  readonly connect: (url: string, role: ConnectOptions['role'], more?: Partial<ConnectOptions>) => Redis;
  readonly closeAll: () => Promise<void>;
}

/** Makes connections that `closeAll` ends. */
export function createConnections(): Connections {
  const open: Redis[] = [];
  return {
    connect: (url, role, more = {}) => {
      const redis = connectRedis(url, { role, name: 'redis-kit test', ...more });
      open.push(redis);
      return redis;
    },
    closeAll: async () => void (await Promise.all(open.splice(0).map((redis) => closeRedis(redis)))),
  };
}
