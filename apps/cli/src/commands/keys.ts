import { randomUUID } from 'node:crypto';
import { scopes } from '@millrace/contracts';
import { createPool } from '@millrace/database';
import { createApiKey, hashApiKey } from '@millrace/service';
import { UsageError } from '../usage-error.ts';

/** Makes an API key in the database and returns it: it is shown once, only its hash is kept. Needs the owner's DATABASE_URL. */
export async function createKey(databaseUrl: string | undefined, name: string, wanted: readonly string[]): Promise<{ id: string; key: string }> {
  if (databaseUrl === undefined) throw new UsageError('set DATABASE_URL to the owner of the database');
  const known: readonly string[] = scopes;
  const unknown = wanted.find((scope) => !known.includes(scope));
  if (unknown !== undefined) throw new UsageError(`${unknown} is not a scope: use ${scopes.join(', ')}`);
  const pool = createPool({ url: databaseUrl, name: 'millrace-keys', max: 1 });
  const created = { id: `key_${randomUUID()}`, key: createApiKey() };
  try {
    await pool.query('insert into gateway.api_keys (id, name, hash, scopes) values ($1, $2, $3, $4)', [created.id, name, hashApiKey(created.key), wanted]);
  } finally {
    await pool.end();
  }
  return created;
}
