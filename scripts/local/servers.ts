import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { serverLabel } from './apps.ts';
import { stateDir as mainStateDir } from './paths.ts';
import { freePorts } from '@millrace/testing/free-ports';
import { requirePorts } from './ports.ts';
import { startPostgres } from './postgres.ts';
import { findRedis } from './redis-binary.ts';
import type { RedisBinary } from './redis-binary.ts';
import { startRedis } from './redis.ts';
import type { LocalServer } from './server.ts';

export interface ServerOptions {
  readonly stateDir: string;
  /** Port of each server that is to be started here, or any free one. A server that is not named is not started. */
  readonly ports: { readonly postgres?: number | 'free'; readonly bus?: number | 'free'; readonly cache?: number | 'free'; readonly serving?: number | 'free' };
  readonly durable: boolean;
}

export interface LocalServers {
  readonly postgres: LocalServer | undefined;
  readonly bus: LocalServer | undefined;
  readonly cache: LocalServer | undefined;
  readonly serving: LocalServer | undefined;
  readonly redisBinary: RedisBinary | undefined;
  stop(graceMs?: number): Promise<void>;
}

type Role = 'postgres' | 'bus' | 'cache' | 'serving';

/** Fixed ports are checked first, so that a taken one is one clear sentence. */
async function choosePorts(wanted: ServerOptions['ports']): Promise<Partial<Record<Role, number>>> {
  const roles = (['postgres', 'bus', 'cache', 'serving'] as const).filter((role) => wanted[role] !== undefined);
  const free = await freePorts(roles.length);
  const chosen = roles.map((role, at) => ({ role, port: wanted[role] === 'free' ? (free[at] ?? 0) : Number(wanted[role]) }));
  await requirePorts(chosen.filter(({ role }) => wanted[role] !== 'free').map(({ role, port }) => ({ port, ...serverLabel(role) })));
  return Object.fromEntries(chosen.map(({ role, port }) => [role, port]));
}

/** Starts the servers side by side: all of them, or none (one left over from a failed start would keep its port). */
export async function startServers({ stateDir, ports, durable }: ServerOptions): Promise<LocalServers> {
  mkdirSync(join(stateDir, 'logs'), { recursive: true, mode: 0o700 });
  const chosen = await choosePorts(ports);
  const redisBinary = chosen.bus !== undefined || chosen.cache !== undefined || chosen.serving !== undefined ? findRedis(mainStateDir()) : undefined;
  const redis = async (role: Exclude<Role, 'postgres'>, port: number | undefined): Promise<LocalServer | undefined> =>
    redisBinary && port !== undefined ? startRedis({ stateDir, binary: redisBinary, role, port, durable: durable && role === 'bus' }) : undefined;
  const startDatabase = async (port: number | undefined): Promise<LocalServer | undefined> => (port === undefined ? undefined : startPostgres({ stateDir, port, durable }));
  const settled = await Promise.allSettled([startDatabase(chosen.postgres), redis('bus', chosen.bus), redis('cache', chosen.cache), redis('serving', chosen.serving)]);
  const [postgres, bus, cache, serving] = settled.map((one) => (one.status === 'fulfilled' ? one.value : undefined));
  const stop = async (graceMs?: number): Promise<void> => {
    await Promise.all([postgres, bus, cache, serving].map(async (server) => server?.stop(graceMs)));
  };
  const failed = settled.find((one) => one.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  return { postgres, bus, cache, serving, redisBinary, stop };
}
