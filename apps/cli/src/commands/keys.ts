import { randomUUID } from 'node:crypto';
import { scopes } from '@millrace/contracts';
import { createPool } from '@millrace/database';
import { createApiKey, hashApiKey } from '@millrace/service';
import type { Pool } from 'pg';
import { UsageError } from '../usage-error.ts';

async function asOwner<T>(databaseUrl: string | undefined, work: (pool: Pool) => Promise<T>): Promise<T> {
  if (databaseUrl === undefined) throw new UsageError('set DATABASE_URL to the owner of the database');
  const pool = createPool({ url: databaseUrl, name: 'millrace-keys', max: 1 });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}

/** Makes an API key in the database and returns it: it is shown once, only its hash is kept. Needs the owner's DATABASE_URL. */
export async function createKey(databaseUrl: string | undefined, name: string, wanted: readonly string[]): Promise<{ id: string; key: string }> {
  const known: readonly string[] = scopes;
  const unknown = wanted.find((scope) => !known.includes(scope));
  if (unknown !== undefined) throw new UsageError(`${unknown} is not a scope: use ${scopes.join(', ')}`);
  const created = { id: `key_${randomUUID()}`, key: createApiKey() };
  await asOwner(databaseUrl, (pool) => pool.query('insert into gateway.api_keys (id, name, hash, scopes) values ($1, $2, $3, $4)', [created.id, name, hashApiKey(created.key), wanted]));
  return created;
}

export interface ListedKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly state: 'active' | 'expired' | 'revoked' | 'development';
}

/** Every key, oldest first; never its hash. */
export const listKeys = (databaseUrl: string | undefined): Promise<ListedKey[]> =>
  asOwner(databaseUrl, async (pool) => {
    const found = await pool.query<ListedKey>(`
      select id, name, scopes, case when revoked_at is not null then 'revoked' when expires_at <= now() then 'expired' when is_development then 'development' else 'active' end as state
      from gateway.api_keys order by created_at, id`);
    return found.rows;
  });

/** False where there is no such key, or it is revoked already. A gateway that knows the key refuses it within 30 s. */
export const revokeKey = (databaseUrl: string | undefined, id: string): Promise<boolean> =>
  asOwner(databaseUrl, async (pool) => (await pool.query('update gateway.api_keys set revoked_at = now() where id = $1 and revoked_at is null', [id])).rowCount === 1);
