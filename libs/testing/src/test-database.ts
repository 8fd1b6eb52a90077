import { Client } from 'pg';
import { testServer } from './servers.ts';
import { uniqueName } from './unique-name.ts';

export interface TestDatabase {
  /** Of the owner. */
  readonly url: string;
  readonly name: string;
  drop(): Promise<void>;
}

async function asAdmin(statement: string): Promise<void> {
  const client = new Client({ connectionString: testServer('postgres') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** An empty database of its own: schemas have fixed names, so tests share a server but never a database. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = uniqueName('db');
  await asAdmin(`create database ${name}`);
  const url = new URL(testServer('postgres'));
  url.pathname = `/${name}`;
  return { url: url.toString(), name, drop: () => asAdmin(`drop database if exists ${name} with (force)`) };
}
