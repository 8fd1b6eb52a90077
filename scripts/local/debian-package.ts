import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { onPath } from './paths.ts';

/** A machine without a network must not wait for its mirrors for ever. */
const APT_TIMEOUT_MS = 120_000;

const list = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** Runs apt-get without rights: with the machine's package lists, or (own) with lists in our folder. */
function aptGet(dir: string, own: boolean, args: readonly string[]): { ok: boolean; output: string } {
  const lists = own ? ['-o', `Dir::State::lists=${join(dir, 'lists')}`] : [];
  const common = ['-o', `Dir::Cache=${join(dir, 'cache')}`, '-o', 'Debug::NoLocking=1', '-o', 'APT::Sandbox::User='];
  const { status, stdout } = spawnSync('apt-get', ['-qq', ...lists, ...common, ...args], { cwd: join(dir, 'debs'), encoding: 'utf8', timeout: APT_TIMEOUT_MS });
  return { ok: status === 0, output: stdout ?? '' };
}

export interface Unpacked {
  /** Of the package's files: `usr/bin/redis-server` is below it. */
  readonly root: string;
  /** So that its programs find the libraries that came along. */
  readonly env: Record<string, string>;
}

/**
 * Debian, Ubuntu: downloads a package and what it lacks, unpacked into our own folder. Nothing is installed, so no root. Undefined where that does not work.
 * `isThere` looks whether what is wanted came along; it is asked first, so that nothing is fetched twice.
 */
export function unpackDebianPackage<T>(dir: string, name: string, isThere: (unpacked: Unpacked) => T | undefined): T | undefined {
  const look = (): T | undefined => {
    const root = join(dir, 'root');
    const lib = list(join(root, 'usr/lib')).find((entry) => entry.endsWith('-linux-gnu'));
    return existsSync(root) ? isThere({ root, env: lib === undefined ? {} : { LD_LIBRARY_PATH: join(root, 'usr/lib', lib) } }) : undefined;
  };
  const known = look();
  if (known) return known;
  if (onPath('apt-get') === undefined || onPath('dpkg-deb') === undefined) return undefined;
  rmSync(dir, { recursive: true, force: true });
  for (const part of ['lists/partial', 'cache/archives/partial', 'debs']) mkdirSync(join(dir, part), { recursive: true });
  for (const own of [false, true]) {
    if (own && !aptGet(dir, own, ['update']).ok) return undefined;
    const plan = aptGet(dir, own, ['-s', '--no-install-recommends', 'install', name]);
    const names = [...plan.output.matchAll(/^Inst (\S+)/gm)].flatMap((match) => match[1] ?? []);
    if (!plan.ok || names.length === 0 || !aptGet(dir, own, ['download', ...names]).ok) continue;
    for (const file of readdirSync(join(dir, 'debs'))) execFileSync('dpkg-deb', ['-x', join(dir, 'debs', file), join(dir, 'root')]);
    const found = look();
    if (found) return found;
  }
  return undefined;
}
