import { createRedisStreamsBus } from '@millrace/bus';
import type { ManagedBus } from '@millrace/bus';
import { BusSetupError } from '@millrace/bus/engine';
import type { BusOptions } from '@millrace/bus/engine';
import { connectRedis, keysFor } from '@millrace/redis-kit';

export interface OpenBusOptions extends BusOptions {
  /** Of the configuration: BUS_URL, default REDIS_URL. */
  readonly config: { readonly BUS_URL?: string | undefined; readonly REDIS_URL: string };
  /** Of the service, for the names of its connections. */
  readonly name: string;
}

export type BusEngineName = 'redis' | 'nats' | 'postgres';

const ENGINES: Readonly<Record<string, BusEngineName>> = {
  redis: 'redis', rediss: 'redis', 'redis-cluster': 'redis', 'rediss-cluster': 'redis', 'redis-sentinel': 'redis', 'rediss-sentinel': 'redis',
  nats: 'nats', tls: 'nats', postgres: 'postgres', postgresql: 'postgres',
};

/**
 * Which engine BUS_URL names by its scheme.
 * @throws BusSetupError on a scheme that no engine has, and on another Redis than REDIS_URL: there the live context and the events are one script
 */
export function engineOf({ BUS_URL: busUrl, REDIS_URL: redisUrl }: OpenBusOptions['config']): BusEngineName {
  if (busUrl === undefined) return 'redis';
  const scheme = busUrl.slice(0, Math.max(0, busUrl.indexOf(':')));
  const engine = ENGINES[scheme];
  if (engine === undefined) throw new BusSetupError(`BUS_URL begins with "${scheme}:", and a bus is redis://, nats:// or postgres://`);
  if (engine === 'redis' && busUrl !== redisUrl) throw new BusSetupError('BUS_URL names another Redis than REDIS_URL: the Redis bus is the Redis of state. Leave BUS_URL out, or give both the same address');
  return engine;
}

/** The bus that the configuration names; connects when it is used. The packages of other engines than Redis are loaded here alone, and only where they are named. @throws BusSetupError */
export async function openBus({ config, name, ...options }: OpenBusOptions): Promise<ManagedBus> {
  const engine = engineOf(config);
  const url = config.BUS_URL ?? config.REDIS_URL;
  if (engine === 'nats') return (await import('@millrace/bus-nats')).createNatsBus({ url, ...options });
  if (engine === 'postgres') return (await import('@millrace/bus-postgres')).createPostgresBus({ url, ...options });
  return createRedisStreamsBus({ ...options, connect: (role) => connectRedis(url, { role, name: `${name}:${role}` }), keys: keysFor(url) });
}
