import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { eventually } from './eventually.ts';
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

/** True once it has loaded its data and takes commands. */
async function answers(port: number): Promise<boolean> {
  const redis = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: null, connectTimeout: 1_000, disconnectTimeout: 50 });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return (await redis.ping()) === 'PONG';
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}

/** A redis-server of the test's own, on a free port, with the given extra arguments (`['--appendonly', 'yes']`). Needs TEST_REDIS_SERVER_BIN. */
export async function startRedisServer(extraArguments: readonly string[] = []): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-redis-'));
  const port = await freePort();
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--daemonize', 'no', ...extraArguments];
    child = spawn(testServer('redis-server'), args, { stdio: 'ignore' });
    await eventually(() => answers(port));
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, 'exit');
    running.kill('SIGKILL');
    await exited;
  };
  const signal = (name: 'SIGSTOP' | 'SIGCONT') => (): void => void child?.kill(name);

  await start();
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
    async stop() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
