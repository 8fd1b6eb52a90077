import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stateDir as mainStateDir } from './paths.ts';
import { postgresBinaries, postgresUser } from './postgres-binaries.ts';
import { isAlive, stopProcess } from './processes.ts';
import { keptSecret, newPassword } from './secrets.ts';
import { startServer } from './server.ts';
import type { LocalServer } from './server.ts';

export interface PostgresOptions {
  readonly stateDir: string;
  readonly port: number;
  /** False, for tests: no fsync, lazy commits. A killed server then loses its last commits. */
  readonly durable: boolean;
}

interface Cluster {
  readonly bin: string;
  readonly data: string;
  readonly password: string;
  readonly user: { uid: number; gid: number } | undefined;
  readonly durable: boolean;
}

/** A new data folder, made beside its place and moved there when it is complete: a start killed half way leaves nothing half made. */
function initialise({ bin, data, password, user, durable }: Cluster): void {
  const unfinished = `${data}.new`;
  const passwordFile = `${unfinished}.pw`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true, mode: 0o700 });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user) for (const path of [unfinished, passwordFile]) chownSync(path, user.uid, user.gid);
  const args = ['-D', unfinished, '-U', 'millrace', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', ...(durable ? [] : ['--no-sync'])];
  try {
    execFileSync(join(bin, 'initdb'), [...args, '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'], {
      ...user,
      cwd: '/',
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(unfinished, data);
}

const pidLines = (data: string): string[] => {
  try {
    return readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return [];
  }
};

/** Does this process run PostgreSQL on that data folder? (A pid may have been given to another program since.) */
function servesData(pid: number, data: string): boolean {
  if (process.platform !== 'linux') return true;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(data);
  } catch {
    return false;
  }
}

/** After a crash postmaster.pid stays. Where its process is another program now, PostgreSQL would refuse to start; where it still serves our data, it must go first. */
async function mendLockFile(data: string): Promise<void> {
  const pid = Number(pidLines(data)[0]);
  if (!Number.isInteger(pid) || pid <= 0) return;
  if (isAlive(pid) && servesData(pid, data)) await stopProcess(pid, 'SIGINT', 8_000);
  rmSync(join(data, 'postmaster.pid'), { force: true });
}

const settings = ({ port, durable }: PostgresOptions): string[] =>
  [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'shared_buffers=256MB',
    'max_connections=200',
    'password_encryption=scram-sha-256',
    'log_timezone=UTC',
    ...(durable ? [] : ['fsync=off', 'full_page_writes=off', 'synchronous_commit=off']),
  ].flatMap((setting) => ['-c', setting]);

/** PostgreSQL 18 on 127.0.0.1, login by password only (random, kept in the state folder). A crashed earlier run is mended. */
export async function startPostgres(options: PostgresOptions): Promise<LocalServer> {
  const { stateDir, port } = options;
  const bin = join(postgresBinaries(mainStateDir()), 'bin');
  const data = join(stateDir, 'postgres');
  const user = postgresUser();
  const passwordFile = join(stateDir, 'secrets', 'postgres-password');
  if (!existsSync(join(data, 'PG_VERSION'))) {
    rmSync(data, { recursive: true, force: true });
    initialise({ bin, data, password: keptSecret(passwordFile, newPassword), user, durable: options.durable });
  } else if (!existsSync(passwordFile)) throw new Error(`${passwordFile} is gone, so nobody can log in to ${data}: put it back, or remove both to start anew`);
  const password = keptSecret(passwordFile, newPassword);
  await mendLockFile(data);
  return startServer({
    stateDir,
    name: 'server-postgres',
    url: `postgres://millrace:${password}@127.0.0.1:${port}/postgres`,
    command: join(bin, 'postgres'),
    args: ['-D', data, ...settings(options)],
    user,
    stopBy: 'SIGINT',
    logFile: join(stateDir, 'logs', 'postgres.log'),
    // Its last line; an open port alone is also there during crash recovery.
    isReady: (pid) => pidLines(data)[0] === String(pid) && (pidLines(data)[7] ?? '').trim() === 'ready',
  });
}
