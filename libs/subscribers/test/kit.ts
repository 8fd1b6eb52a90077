import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPool } from '@millrace/database';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { createTestDatabase, startRedisServer } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { analyticsTableStatements, erasureTableStatements, generationTableStatements, loadFiles } from '../src/index.ts';
import type { LoadOptions, LoadReport, Stores } from '../src/index.ts';

export interface TestStores extends Stores {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Undefined where `redisUrl` was given. */
  readonly server: RedisServer | undefined;
  readonly directory: string;
  /** Writes a file of the test's own and returns its path. */
  file(name: string, content: string | Buffer): Promise<string>;
  load(files: LoadOptions['files'], options?: Partial<LoadOptions> & Pick<Stores, 'erasureSecret'>): Promise<LoadReport>;
  close(): Promise<void>;
}

/** A database with the schema of subscribers, a Redis (or the one of `redisUrl`), and a folder. */
export async function startStores({ redisArguments = [], redisUrl }: { readonly redisArguments?: readonly string[]; readonly redisUrl?: string } = {}): Promise<TestStores> {
  const [database, server, directory] = await Promise.all([createTestDatabase(), redisUrl === undefined ? startRedisServer(redisArguments) : undefined, mkdtemp(join(tmpdir(), 'millrace-ut360-'))]);
  const url = redisUrl ?? (server satisfies RedisServer | undefined)?.url ?? '';
  const pool = createPool({ url: database.url, name: 'test', max: 4 });
  await pool.query('create schema ut360');
  for (const statement of [...generationTableStatements(), ...analyticsTableStatements(), ...erasureTableStatements()]) await pool.query(statement);
  const redis = connectRedis(url, { role: 'background', name: 'test' });
  const stores = { pool, redis, keys: keysFor(url) };
  return {
    ...stores, databaseUrl: database.url, redisUrl: url, server, directory,
    async file(name, content) {
      const path = join(directory, name);
      await writeFile(path, content);
      return path;
    },
    load: (files, { erasureSecret, ...options } = {}) => loadFiles({ ...stores, erasureSecret }, { files, limit: { share: 0.01 }, keep: 1, ...options }),
    async close() {
      await closeRedis(redis);
      await pool.end();
      await server?.stop();
      await database.drop();
      await rm(directory, { recursive: true });
    },
  };
}
