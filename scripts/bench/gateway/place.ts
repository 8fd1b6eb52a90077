import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scopes } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createApiKey, createServiceKeys, hashApiKey } from '@millrace/service';
import { eventually } from '@millrace/testing/eventually';
import { freePorts } from '@millrace/testing/free-ports';
import { startRedisServer } from '@millrace/testing/redis-server';
import { createTestDatabase } from '@millrace/testing/servers';
import { z } from 'zod';
import { migrations } from '../../../apps/gateway/src/migrations/index.ts';
import type { ServerKind } from './server.ts';

const MAIN = fileURLToPath(new URL('../../../apps/gateway/src/main.ts', import.meta.url));
const SERVER = fileURLToPath(new URL('server.ts', import.meta.url));

export interface RunningGateway {
  readonly port: number;
  readonly url: string;
  /** Seconds of processor time since its start. */
  cpuSeconds(): Promise<number>;
  stop(): Promise<void>;
}

export interface Place {
  /** An ordinary key: limited, not for development. */
  readonly apiKey: string;
  readonly busUrl: string;
  readonly cacheUrl: string;
  /** A real process, ready. `name` is for who profiles: BENCH_PROFILE=<folder>. */
  gateway(name: string, upstreamUrl: string, env?: Readonly<Record<string, string>>): Promise<RunningGateway>;
  server(kind: ServerKind): Promise<number>;
  close(): Promise<void>;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

async function registerKey(databaseUrl: string): Promise<string> {
  const key = createApiKey();
  const pool = createPool({ url: databaseUrl, name: 'bench', max: 1 });
  try {
    await migrateSchema(createKysely<unknown>(pool), migrations);
    await pool.query(`insert into gateway.api_keys (id, name, hash, scopes) values ('key_bench', 'bench', $1, $2)`, [hashApiKey(key), [...scopes]]);
  } finally {
    await pool.end();
  }
  return key;
}

/** The flags of a process that leaves a profile behind. */
const profiled = (name: string): readonly string[] => (process.env['BENCH_PROFILE'] === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${process.env['BENCH_PROFILE']}`, `--cpu-prof-name=${name}.cpuprofile`]);

/** A database, a Redis of the bus, one of the cache (may evict), and gateways over them as real processes. */
export async function openPlace(): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const [database, bus, cache, serviceKeys] = await Promise.all([createTestDatabase(), startRedisServer(['--appendonly', 'yes']), startRedisServer(['--maxmemory', '256mb', '--maxmemory-policy', 'allkeys-lru', '--save', '']), createServiceKeys(['gateway'])]);
  const [apiKey, keyFile, jwksFile] = [await registerKey(database.url), join(directory, 'key.jwk'), join(directory, 'jwks.json')];
  await writeFile(keyFile, JSON.stringify(serviceKeys.privateKeys['gateway']), { mode: 0o600 });
  await writeFile(jwksFile, JSON.stringify(serviceKeys.jwks));
  const children: ChildProcess[] = [];
  return {
    apiKey, busUrl: bus.url, cacheUrl: cache.url,
    async gateway(name, upstreamUrl, env = {}) {
      const [port = 0, internalPort = 0] = await freePorts(2);
      const child = spawn(process.execPath, [...profiled(name), MAIN], {
        stdio: ['ignore', 'inherit', 'inherit'],
        env: {
          PATH: process.env['PATH'], NODE_ENV: 'production', LOG_LEVEL: 'error', HOST: '127.0.0.1', INTERNAL_HOST: '127.0.0.1', PORT: String(port), INTERNAL_PORT: String(internalPort), REDIS_URL: bus.url, CACHE_REDIS_URL: cache.url,
          GATEWAY_DATABASE_URL: database.url, INTERNAL_KEY_FILE: keyFile, INTERNAL_JWKS_FILE: jwksFile, CATALOG_API_URL: upstreamUrl, ...env,
        },
      });
      children.push(child);
      const url = `http://127.0.0.1:${port}`;
      await eventually(async () => (await fetch(`http://127.0.0.1:${internalPort}/readyz`)).ok, { timeoutMs: 60_000 });
      return {
        port, url,
        cpuSeconds: async () => Number(/^process_cpu_seconds_total\S* (\S+)$/m.exec(await (await fetch(`http://127.0.0.1:${internalPort}/metrics`)).text())?.[1]),
        stop: () => end(child),
      };
    },
    async server(kind) {
      const child = fork(SERVER, [kind], { env: { ...process.env, BENCH_REDIS_URL: cache.url } });
      children.push(child);
      const [message]: unknown[] = await once(child, 'message');
      return z.object({ port: z.int() }).parse(message).port;
    },
    async close() {
      await Promise.all(children.map(end));
      await Promise.all([bus.stop(), cache.stop()]);
      await database.drop();
      await rm(directory, { recursive: true });
    },
  };
}
