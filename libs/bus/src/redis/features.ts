import { infoOfMasters } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { BusLogger } from '../metrics.ts';

/** What a server can and how it is set up, as far as the bus cares. */
export interface ServerFeatures {
  /** Of the oldest master; Valkey says 7.2.4 here. */
  readonly version: string;
  /** XINFO's own lag is right after trims and deletions (8.2). */
  readonly hasExactLag: boolean;
}

/** The server cannot hold the bus: its streams need what Redis has since 7.0. */
export class UnsupportedServerError extends Error {
  override readonly name = 'UnsupportedServerError';
  readonly code = 'unsupported_server';
}

const atLeast = (version: string, [major, minor]: readonly [number, number]): boolean => {
  const [ownMajor = 0, ownMinor = 0] = version.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
};

/**
 * Asks every master once what it is. Warns of settings that lose events: eviction, and no append-only file.
 * @throws UnsupportedServerError below Redis 7.0
 */
export async function probeServer(redis: Redis, logger: BusLogger): Promise<ServerFeatures> {
  const masters = await infoOfMasters(redis, ['redis_version', 'maxmemory_policy', 'maxmemory', 'aof_enabled']);
  const [version = '0'] = masters.map(([own]) => own ?? '0').toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  if (masters.length === 0) throw new Error('no master of the Redis cluster is known yet');
  if (!atLeast(version, [7, 0])) throw new UnsupportedServerError(`the bus needs Redis 7.0 or later, or Valkey: this server is ${version}`);
  for (const [, policy, maxmemory, aof] of masters) {
    if (Number(maxmemory ?? 0) > 0 && policy !== undefined && policy !== 'noeviction') logger.warn({ policy }, 'Redis evicts keys when it is full: set maxmemory-policy noeviction, or streams and their groups may vanish');
    if (aof === '0') logger.warn({}, 'Redis has no append-only file: after a crash everything is published and bootstrapped again');
  }
  return { version, hasExactLag: atLeast(version, [8, 2]) };
}

/** Probes at the first call, and again only where that failed. */
export function probeOnce(redis: Redis, logger: BusLogger): () => Promise<ServerFeatures> {
  let probed: Promise<ServerFeatures> | undefined;
  return () => {
    probed ??= probeServer(redis, logger).catch((error: unknown) => {
      probed = undefined;
      throw error;
    });
    return probed;
  };
}
