import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { eventually } from './eventually.ts';
import { freePorts } from './free-ports.ts';
import { killChild } from './kill-child.ts';
import { testServer } from './servers.ts';

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Its data directory; the append-only files are in `appendonlydir`. Removed by `stop`. */
  readonly directory: string;
  /** kill -9: what was not yet on disk is lost. */
  kill(): Promise<void>;
  /** Starts it again on the same port and directory; kills it first where it runs. */
  restart(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing is answered. */
  pause(): void;
  resume(): void;
  /** Kills it and removes its directory. */
  stop(): Promise<void>;
}

export const newRedisDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'millrace-redis-'));

/** Asks a server one thing over a connection of its own. Rejects at once where it is not there. */
export async function askRedis<T>(port: number, ask: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: null, connectTimeout: 1_000, commandTimeout: 1_000, disconnectTimeout: 50 });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return await ask(redis);
  } finally {
    redis.disconnect();
  }
}

/** True once it has loaded its data and takes commands. */
const answers = (redis: Redis): Promise<boolean> => redis.ping().then((reply) => reply === 'PONG');

export interface RedisProgram {
  readonly port: number;
  readonly directory: string;
  readonly args: readonly string[];
  /** Default: TEST_REDIS_SERVER_BIN. */
  readonly program?: { readonly path: string; readonly env: NodeJS.ProcessEnv };
  /** Default: it answers PING. */
  readonly isReady?: (redis: Redis) => Promise<boolean>;
}

/** Resolves when it is ready. */
export async function runRedis({ port, directory, args, program, isReady = answers }: RedisProgram): Promise<RedisServer> {
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    child = spawn(program?.path ?? testServer('redis-server'), args, { stdio: 'ignore', cwd: directory, env: program?.env });
    await eventually(() => askRedis(port, isReady));
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    await killChild(running);
  };
  const signal = (name: 'SIGSTOP' | 'SIGCONT') => (): void => void child?.kill(name);
  const stop = async (): Promise<void> => {
    await kill();
    await rm(directory, { recursive: true, force: true, maxRetries: 20 });
  };

  await start().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    directory,
    kill,
    async restart() {
      await kill();
      await start();
    },
    pause: signal('SIGSTOP'),
    resume: signal('SIGCONT'),
    stop,
  };
}

/** Arguments of a server without snapshots in a directory of its own. */
export const serverArguments = (port: number, directory: string): string[] => ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--daemonize', 'no'];

/** A redis-server of the test's own, on a free port, with the given extra arguments (`['--appendonly', 'yes']`). Needs TEST_REDIS_SERVER_BIN. */
export async function startRedisServer(extraArguments: readonly string[] = []): Promise<RedisServer> {
  const [[port = 0], directory] = await Promise.all([freePorts(1), newRedisDirectory()]);
  return runRedis({ port, directory, args: [...serverArguments(port, directory), ...extraArguments] });
}

const isInSync = async (redis: Redis): Promise<boolean> => (await redis.info('replication')).includes('master_link_status:up');

/** A replica of that server, in step with it when it resolves (and again after `restart`, which needs the primary). */
export async function startRedisReplica(of: RedisServer, extraArguments: readonly string[] = []): Promise<RedisServer> {
  // A primary waits 5 s for more replicas before it sends its data.
  await askRedis(of.port, (redis) => redis.config('SET', 'repl-diskless-sync-delay', '0'));
  const [[port = 0], directory] = await Promise.all([freePorts(1), newRedisDirectory()]);
  return runRedis({ port, directory, args: [...serverArguments(port, directory), '--replicaof', '127.0.0.1', String(of.port), ...extraArguments], isReady: isInSync });
}
