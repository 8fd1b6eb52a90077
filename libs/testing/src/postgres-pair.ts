import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { eventually } from './eventually.ts';
import { freePorts } from './free-ports.ts';
import { testServer } from './servers.ts';

/** Of the owner, who is a superuser. */
export interface PostgresPair {
  readonly primaryUrl: string;
  /** A hot standby that streams from the primary. */
  readonly replicaUrl: string;
  /** Ends both and removes their files. */
  stop(): Promise<void>;
}

export type User = { readonly uid: number; readonly gid: number } | undefined;
const run = promisify(execFile);
/** What a standby may not have less of than its primary (max_connections) stays as initdb wrote it. */
const SETTINGS = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'full_page_writes=off', 'synchronous_commit=off', 'shared_buffers=32MB'];

/** PostgreSQL does not run as root: then as whoever runs the server of the tests. */
export async function findUser(runDirectory: string): Promise<User> {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await stat(join(runDirectory, 'postgres'));
  return { uid, gid };
}

export async function isReady(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query('select 1')).rowCount === 1;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * A primary and a replica of the test's own; some seconds. The files of the replica are those of the primary before its first start, from where it follows.
 * Needs TEST_POSTGRES_BIN and MILLRACE_RUN_DIR.
 */
export async function startPostgresPair(): Promise<PostgresPair> {
  const bin = testServer('postgres-bin');
  const runDirectory = process.env['MILLRACE_RUN_DIR'] ?? '';
  const [[primaryPort = 0, replicaPort = 0], user, directory] = await Promise.all([freePorts(2), findUser(runDirectory), mkdtemp(join(runDirectory, 'pair-'))]);
  const [primary, replica, passwordFile] = [join(directory, 'primary'), join(directory, 'replica'), join(directory, 'password')];
  const password = randomBytes(12).toString('hex');
  const children: ChildProcess[] = [];
  const start = (data: string, port: number): void => void children.push(spawn(join(bin, 'postgres'), ['-D', data, ...[`port=${port}`, ...SETTINGS].flatMap((setting) => ['-c', setting])], { ...user, cwd: '/', stdio: 'ignore' }));
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGQUIT');
      await exited;
    }));
    await rm(directory, { recursive: true, force: true, maxRetries: 20 });
  };
  const urlOf = (port: number): string => `postgres://millrace:${password}@127.0.0.1:${port}/postgres`;
  try {
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (user !== undefined) for (const path of [directory, passwordFile]) await chown(path, user.uid, user.gid);
    await run(join(bin, 'initdb'), ['-D', primary, '-U', 'millrace', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', '--no-sync', '--locale=C'], { ...user, cwd: '/' });
    await run('cp', ['-a', primary, replica]);
    await appendFile(join(replica, 'postgresql.auto.conf'), `primary_conninfo = 'host=127.0.0.1 port=${primaryPort} user=millrace password=${password}'\n`);
    await writeFile(join(replica, 'standby.signal'), '');
    for (const [data, port] of [[primary, primaryPort], [replica, replicaPort]] as const) {
      start(data, port);
      await eventually(() => isReady(urlOf(port)), { timeoutMs: 30_000, everyMs: 30 });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { primaryUrl: urlOf(primaryPort), replicaUrl: urlOf(replicaPort), stop };
}
