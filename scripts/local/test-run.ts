// Throwaway servers for tests and benchmarks, in a folder of their own that is swept with them.
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { findPgbouncer } from './bus-binaries.ts';
import { startTestContainers } from './containers.ts';
import { startNats } from './nats.ts';
import { ownedDir, stateDir } from './paths.ts';
import { findProcess, rememberProcess, stopOrphans } from './processes.ts';
import { findChromium } from './chromium.ts';
import { postgresBinaries } from './postgres-binaries.ts';
import { findRedis, plainRedisServer } from './redis-binary.ts';
import { startRedisCluster } from './redis-cluster.ts';
import { startServers } from './servers.ts';

const RUNNER = 'runner';
const runsDir = (): string => ownedDir(join(stateDir(), 'runs'));

/** Stops whatever runs below that folder, in it or in the state folders of stacks inside it, then removes it. */
async function sweep(dir: string): Promise<void> {
  const pidFiles = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.pid') && basename(dirname(file)) === 'run');
  const stateDirs = new Set(pidFiles.map((file) => dirname(dirname(join(dir, file)))));
  for (const nested of stateDirs) await stopOrphans(nested);
  rmSync(dir, { recursive: true, force: true });
}

/** Clears away the runs that were killed before they could do it themselves. */
async function sweepDeadRuns(): Promise<void> {
  for (const name of readdirSync(runsDir())) {
    const dir = join(runsDir(), name);
    if (existsSync(dir) && findProcess(dir, RUNNER) === undefined) await sweep(dir);
  }
}

/** A folder for this process' servers; a later run sweeps it if this process is killed. */
function newRunDir(): string {
  const dir = ownedDir(join(runsDir(), `${process.pid}-${randomBytes(4).toString('hex')}`));
  rememberProcess(dir, { name: RUNNER, pid: process.pid, stopBy: 'SIGTERM' });
  return dir;
}

/** A new state folder for a stack that a test or a benchmark starts, swept with the run that it belongs to. */
export function newStateDir(name: string): string {
  const run = process.env['MILLRACE_RUN_DIR'];
  return ownedDir(join(run !== undefined && run !== '' ? run : newRunDir(), `${name}-${randomBytes(4).toString('hex')}`));
}

export interface TestServers {
  readonly dir: string;
  /** TEST_DATABASE_URL, TEST_POSTGRES_BIN, TEST_REDIS_URL, TEST_REDIS_CLUSTER_URL, TEST_REDIS_SERVER_BIN, MILLRACE_RUN_DIR; where the programs are found TEST_NATS_URL, TEST_NATS_SERVER_BIN and TEST_PGBOUNCER_BIN; where Docker answers, TEST_ELASTICSEARCH_URL and TEST_QDRANT_URL. */
  readonly env: Record<string, string>;
  /** Stops everything below the folder and removes it. Safe to call twice. */
  stop(): Promise<void>;
}

/** Waits until all have settled, so that nothing starts behind the sweep; then throws what failed first. */
async function allSettledOrThrow<T extends readonly unknown[]>(parts: { readonly [K in keyof T]: Promise<T[K]> }): Promise<{ -readonly [K in keyof T]: T[K] }> {
  await Promise.allSettled(parts);
  return Promise.all(parts);
}

/** PostgreSQL, Redis (bus), a Redis Cluster and, where there is a program, NATS on free ports, without fsync. What a killed earlier run left behind is stopped first. */
export async function startTestServers(): Promise<TestServers> {
  await sweepDeadRuns();
  const dir = newRunDir();
  try {
    const binary = findRedis(stateDir());
    const pgbouncer = findPgbouncer(stateDir());
    const [servers, cluster, nats, containers] = await allSettledOrThrow([
      startServers({ stateDir: dir, ports: { postgres: 'free', bus: 'free' }, durable: false }),
      startRedisCluster(dir, binary),
      startNats(dir),
      startTestContainers(process.env, (text) => console.error(text)),
    ]);
    const chromium = process.env['TEST_CHROMIUM_BIN'] ?? findChromium();
    const env = {
      ...containers.env,
      TEST_DATABASE_URL: servers.postgres?.url ?? '',
      TEST_POSTGRES_BIN: join(postgresBinaries(stateDir()), 'bin'),
      TEST_REDIS_URL: servers.bus?.url ?? '',
      TEST_REDIS_CLUSTER_URL: cluster.url,
      TEST_REDIS_SERVER_BIN: plainRedisServer(stateDir(), binary),
      ...(nats && { TEST_NATS_URL: nats.url, TEST_NATS_SERVER_BIN: nats.binary }),
      ...(pgbouncer !== undefined && { TEST_PGBOUNCER_BIN: pgbouncer }),
      ...(chromium !== undefined && { TEST_CHROMIUM_BIN: chromium }),
      MILLRACE_RUN_DIR: dir,
    };
    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      await Promise.all([servers.stop(), cluster.stop(), nats?.stop(), containers.stop()]);
      await sweep(dir);
    };
    return { dir, env, stop: () => (stopping ??= stop()) };
  } catch (error) {
    await sweep(dir);
    throw error;
  }
}
