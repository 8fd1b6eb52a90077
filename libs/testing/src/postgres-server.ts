import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './eventually.ts';
import { freePorts } from './free-ports.ts';
import { findUser, isReady } from './postgres-pair.ts';
import { killChild } from './kill-child.ts';
import { testServer } from './servers.ts';

export interface OwnServer {
  readonly url: string;
  /** kill -9. */
  kill(): Promise<void>;
  /** Starts it again on the same port and directory; kills it first where it runs. */
  restart(): Promise<void>;
  /** Kills it and removes its directory. */
  stop(): Promise<void>;
}

const run = promisify(execFile);
/** What is committed survives the end of its processes: only a crash of the machine is left out. */
const SETTINGS = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'full_page_writes=off', 'shared_buffers=32MB'];

/** A Postgres of the test's own, that may be killed. Needs TEST_POSTGRES_BIN and MILLRACE_RUN_DIR. */
export async function startPostgresServer(): Promise<OwnServer> {
  const bin = testServer('postgres-bin');
  const runDirectory = process.env['MILLRACE_RUN_DIR'] ?? '';
  const [[port = 0], user, directory] = await Promise.all([freePorts(1), findUser(runDirectory), mkdtemp(join(runDirectory, 'own-postgres-'))]);
  const [data, passwordFile] = [join(directory, 'data'), join(directory, 'password')];
  const password = randomBytes(12).toString('hex');
  const url = `postgres://millrace:${password}@127.0.0.1:${port}/postgres`;
  let child: ChildProcess | undefined;
  const launch = (): ChildProcess => spawn(join(bin, 'postgres'), ['-D', data, ...[`port=${port}`, ...SETTINGS].flatMap((setting) => ['-c', setting])], { ...user, cwd: '/', stdio: 'ignore' });
  const start = async (): Promise<void> => {
    await eventually(() => {
      // The helpers of a killed one live a moment longer than it and keep its data locked: it ends at once then.
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) child = launch();
      return isReady(url);
    }, { timeoutMs: 30_000, everyMs: 50 });
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    await killChild(running);
  };
  const stop = async (): Promise<void> => {
    await kill();
    await rm(directory, { recursive: true, force: true, maxRetries: 20 });
  };
  try {
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (user !== undefined) for (const path of [directory, passwordFile]) await chown(path, user.uid, user.gid);
    await run(join(bin, 'initdb'), ['-D', data, '-U', 'millrace', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', '--no-sync', '--locale=C'], { ...user, cwd: '/' });
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url, kill, stop,
    async restart() {
      await kill();
      await start();
    },
  };
}
