// Programs for tests of the bus' other engines. Nobody needs them to run the platform: a machine without them skips their tests by name.
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebianPackage } from './debian-package.ts';
import { onPath } from './paths.ts';

const version = (path: string): readonly [number, number] | undefined => {
  const { status, stdout, stderr } = spawnSync(path, ['--version'], { encoding: 'utf8' });
  const match = /(\d+)\.(\d+)/.exec(`${stdout ?? ''}${stderr ?? ''}`);
  return status === 0 && match ? [Number(match[1]), Number(match[2])] : undefined;
};

const isNats = (path: string): boolean => {
  const [major = 0, minor = 0] = version(path) ?? [];
  return major > 2 || (major === 2 && minor >= 9);
};

/** nats-server 2.9 or later: NATS_SERVER_BIN, else PATH, else Debian's package, unpacked once into `stateDir`. */
export function findNats(stateDir: string): string | undefined {
  const given = process.env['NATS_SERVER_BIN'];
  for (const path of [given, onPath('nats-server')]) if (path !== undefined && path !== '' && isNats(path)) return path;
  return unpackDebianPackage(join(stateDir, 'nats-deb'), 'nats-server', ({ root }) => [join(root, 'usr/sbin/nats-server'), join(root, 'usr/bin/nats-server')].find((path) => existsSync(path) && isNats(path)));
}

/** A transaction pooler for the Postgres bus: PATH, else Debian's package with its libraries, behind a script that tells where they are. */
export function findPgbouncer(stateDir: string): string | undefined {
  const there = onPath('pgbouncer');
  if (there !== undefined && version(there)) return there;
  return unpackDebianPackage(join(stateDir, 'pgbouncer-deb'), 'pgbouncer', ({ root, env }) => {
    const path = join(root, 'usr/sbin/pgbouncer');
    if (!existsSync(path)) return undefined;
    const script = join(stateDir, 'pgbouncer');
    const exports = Object.entries(env).map(([name, value]) => `export ${name}='${value}'\n`);
    writeFileSync(script, `#!/bin/sh\n${exports.join('')}exec '${path}' "$@"\n`, { mode: 0o755 });
    return version(script) ? script : undefined;
  });
}
