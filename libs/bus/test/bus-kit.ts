import { afterEach, beforeEach } from '@jest/globals';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createRedisStreamsBus } from '../src/index.ts';
import type { RedisStreamsBus, RedisStreamsBusOptions } from '../src/index.ts';
import { createTestTopic } from '../src/testing.ts';
import type { TestTopic } from '../src/testing.ts';

/** What each test has for itself. */
export interface Fresh {
  readonly url: string;
  /** A plain connection beside the buses. */
  readonly redis: Redis;
  readonly topic: TestTopic;
}

export interface BusKit {
  /** Those of the running test, in the order of their opening. */
  readonly buses: RedisStreamsBus[];
  /** With waits that are short, and longer than a process of a loaded machine stands still; closed after the test. */
  readonly openBus: (more?: Partial<RedisStreamsBusOptions>) => RedisStreamsBus;
  /** In a suite of one server: gives each test what it needs, and removes it with all of its keys afterwards. */
  readonly useServer: (address: string, begin: (fresh: Fresh) => void) => void;
}

export function createBusKit(defaults: (topic: TestTopic) => Partial<RedisStreamsBusOptions> = () => ({})): BusKit {
  const buses: RedisStreamsBus[] = [];
  let fresh: Fresh;
  return {
    buses,
    openBus(more = {}) {
      const { url, topic } = fresh;
      const bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'bus test' }), claimIdleMs: 2_000, leaseMs: 2_000, retryBaseMs: 5, ...defaults(topic), ...more });
      buses.push(bus);
      return bus;
    },
    useServer(address, begin) {
      beforeEach(() => {
        fresh = { url: address, redis: connectRedis(address, { role: 'blocking', name: 'bus test' }), topic: createTestTopic() };
        begin(fresh);
      });
      afterEach(async () => {
        const { redis, topic } = fresh;
        await Promise.all(buses.splice(0).map((bus) => bus.close()));
        const left = await redis.keys(`${topic.name}*`);
        if (left.length > 0) await redis.unlink(...left);
        await closeRedis(redis);
      });
    },
  };
}
