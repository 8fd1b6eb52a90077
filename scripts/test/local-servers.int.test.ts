import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { createPool } from '@millrace/database';
import { freePorts } from '@millrace/testing/free-ports';
import { requirePorts } from '../local/ports.ts';
import { ensureServiceKeys } from '../local/secrets.ts';
import { startServers } from '../local/servers.ts';
import type { LocalServers } from '../local/servers.ts';
import { newStateDir } from '../local/test-run.ts';

const stateDir = newStateDir('servers');
let servers: LocalServers | undefined;
afterAll(() => servers?.stop());

async function ask(url: string, sql: string): Promise<unknown[]> {
  const pool = createPool({ url, name: 'test', max: 1 });
  try {
    return (await pool.query(sql)).rows;
  } finally {
    await pool.end();
  }
}

describe('local servers', () => {
  it('keep their data over a kill of PostgreSQL, a stale lock file and a second start, and let nobody in without the password', async () => {
    servers = await startServers({ stateDir, ports: { postgres: 'free' }, durable: true });
    const { postgres } = servers;
    if (!postgres) throw new Error('not started');
    await ask(postgres.url, 'create table kept as select 1 as x');
    await expect(ask(postgres.url.replace(/:[^:@]+@/, ':wrong@'), 'select 1')).rejects.toThrow(/password authentication failed/);
    await postgres.kill();
    await postgres.restart();
    expect(await ask(postgres.url, 'select x from kept')).toEqual([{ x: 1 }]);

    await servers.stop();
    // What a crash leaves: a lock file whose pid now belongs to another program, here this test.
    const lockFile = join(stateDir, 'postgres', 'postmaster.pid');
    writeFileSync(lockFile, `${process.pid}\n${join(stateDir, 'postgres')}\n`);
    servers = await startServers({ stateDir, ports: { postgres: 'free' }, durable: true });
    expect(await ask(servers.postgres?.url ?? '', 'select x from kept')).toEqual([{ x: 1 }]);
  });

  it('refuse to start on data whose password is lost, with a sentence that says what to do', async () => {
    const lost = newStateDir('lost');
    mkdirSync(join(lost, 'postgres'));
    writeFileSync(join(lost, 'postgres', 'PG_VERSION'), '18\n');
    await expect(startServers({ stateDir: lost, ports: { postgres: 'free' }, durable: false })).rejects.toThrow(/postgres-password is gone.*put it back, or remove both/);
  });

  it('name a taken port, what it is for and the variable that moves it', async () => {
    const [port = 0] = await freePorts(1);
    const other = createServer();
    await new Promise<void>((done) => void other.listen(port, '127.0.0.1', () => done()));
    const refused = requirePorts([{ port, use: 'the gateway', variable: 'MILLRACE_GATEWAY_PORT' }]);
    await expect(refused).rejects.toThrow(new RegExp(`port ${port} \\(for the gateway\\) is taken.*MILLRACE_GATEWAY_PORT`));
    other.close();
  });

  it('follow infra/redis-*.conf: the bus never evicts, the cache does, and only the bus writes a log', async () => {
    const redis = await startServers({ stateDir, ports: { bus: 'free', cache: 'free' }, durable: true });
    const cli = (url: string, name: string): string => {
      const { port, password } = new URL(url);
      // A raw conversation, so that the test needs no client of its own.
      const script = `exec 3<>/dev/tcp/127.0.0.1/${port}; printf 'AUTH ${password}\\r\\nCONFIG GET ${name}\\r\\nQUIT\\r\\n' >&3; cat <&3`;
      return execFileSync('bash', ['-c', script], { encoding: 'utf8' });
    };
    const [bus = '', cache = ''] = [redis.bus?.url, redis.cache?.url];
    expect([cli(bus, 'maxmemory-policy'), cli(cache, 'maxmemory-policy')]).toEqual([expect.stringContaining('noeviction'), expect.stringContaining('allkeys-lru')]);
    expect([cli(bus, 'appendonly'), cli(cache, 'appendonly')]).toEqual([expect.stringContaining('yes'), expect.stringContaining('no\r\n')]);
    expect(cli(bus, 'maxmemory')).not.toContain('\r\n0\r\n');
    await redis.stop();
    expect(existsSync(join(stateDir, 'run', 'server-redis-bus.pid'))).toBe(false);
  });
});

describe('secrets', () => {
  it('are readable by their owner only, kept over a second start, and never public in the JWKS', () => {
    const dir = join(newStateDir('keys'), 'keys');
    const first = ensureServiceKeys(dir, ['gateway']);
    const privateKey = readFileSync(first.keyFile('gateway'), 'utf8');
    const second = ensureServiceKeys(dir, ['gateway', 'catalog-api']);
    expect(readFileSync(second.keyFile('gateway'), 'utf8')).toBe(privateKey);
    const published: unknown = JSON.parse(readFileSync(second.jwksFile, 'utf8'));
    expect(published).toEqual({ keys: ['gateway', 'catalog-api'].map((kid) => ({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid, x: expect.any(String) })) });
    for (const file of [first.jwksFile, first.keyFile('gateway')]) expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});
