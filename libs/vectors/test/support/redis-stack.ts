import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { asFields, asList, asText, closeRedis, connectRedis, infoField, whenReady } from '@millrace/redis-kit';
import { eventually, testServer } from '@millrace/testing';

/** A server of a test's own that can be killed. */
export interface OwnRedis {
  readonly url: string;
  readonly directory: string;
  /** kill -9 */
  kill(): Promise<void>;
  /** On the same port and directory; resolves when it answers. */
  start(options?: { readonly appendonly?: boolean }): Promise<void>;
  stop(): Promise<void>;
}

/** Where the program and the module of the server are that the test runner named: it runs on this machine. */
async function findProgram(): Promise<{ program: string; module: string }> {
  const redis = connectRedis(testServer('redis-stack'), { role: 'background', name: 'test' });
  try {
    await whenReady(redis);
    const program = await infoField(redis, 'executable');
    const modules = asList(await redis.call('MODULE', ['LIST'])).map(asFields);
    const search = modules.find((fields) => fields.get('name') === 'search');
    if (program === undefined || search === undefined) throw new Error('the redis-stack server has no search module');
    return { program, module: asText(search.get('path')) };
  } finally {
    await closeRedis(redis);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await once(server.close(), 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

async function answers(url: string): Promise<boolean> {
  const redis = connectRedis(url, { role: 'request', name: 'test' });
  try {
    await whenReady(redis, 500);
    return (await redis.ping()) === 'PONG';
  } finally {
    await closeRedis(redis);
  }
}

/** Redis with its search module and an append-only file that is written every second. */
export async function startOwnRedis(): Promise<OwnRedis> {
  const [{ program, module }, port, directory] = await Promise.all([findProgram(), freePort(), mkdtemp(join(tmpdir(), 'millrace-vectors-'))]);
  const url = `redis://127.0.0.1:${port}`;
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--loadmodule', module];
  let child: ChildProcess | undefined;
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, 'exit');
    running.kill('SIGKILL');
    await gone;
  };
  const own: OwnRedis = {
    url,
    directory,
    kill,
    async start({ appendonly = true } = {}) {
      await kill();
      child = spawn(program, [...args, '--appendonly', appendonly ? 'yes' : 'no'], { stdio: 'ignore', env: { ...process.env, LD_LIBRARY_PATH: join(dirname(module), 'lib') } });
      await eventually(() => answers(url).catch(() => false));
    },
    async stop() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
  await own.start().catch(async (error: unknown) => {
    await own.stop();
    throw error;
  });
  return own;
}
