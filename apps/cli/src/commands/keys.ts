import { randomUUID } from 'node:crypto';
import { interactionTypes, scopes } from '@millrace/contracts';
import { createPool } from '@millrace/database';
import { createApiKey, createPublishableKey, hashApiKey } from '@millrace/service';
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

export interface PublishableOptions {
  readonly origins: readonly string[];
  readonly eventTypes: readonly string[];
}

/** What a browser sends in `Origin`, exactly. */
function checkOrigin(origin: string): void {
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) throw new UsageError(`${origin} is not an origin: write scheme and host, such as https://shop.example, and one --origin for each`);
  if (url.origin !== origin) throw new UsageError(`${origin} is not what a browser sends: write ${url.origin}`);
}

/** Makes a key for pages of these origins. Only its hash is kept, like that of other keys, but anybody can read it in the page. */
export async function createPageKey(databaseUrl: string | undefined, name: string, { origins, eventTypes }: PublishableOptions): Promise<{ id: string; key: string }> {
  if (origins.length === 0) throw new UsageError('a publishable key needs at least one --origin, such as https://shop.example');
  for (const origin of origins) checkOrigin(origin);
  const known: readonly string[] = interactionTypes;
  const unknown = eventTypes.find((type) => !known.includes(type));
  if (unknown !== undefined) throw new UsageError(`${unknown} is not a type of event: use ${interactionTypes.join(', ')}`);
  const created = { id: `key_${randomUUID()}`, key: createPublishableKey() };
  const values = [created.id, name, hashApiKey(created.key), ['events:write'], [...new Set(origins)], [...new Set(eventTypes)]];
  await asOwner(databaseUrl, (pool) => pool.query('insert into gateway.api_keys (id, name, hash, scopes, origins, event_types) values ($1, $2, $3, $4, $5, $6)', values));
  return created;
}

export interface ListedKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly state: 'active' | 'expired' | 'revoked' | 'development';
  /** Of publishable keys; else null, both. */
  readonly origins: readonly string[] | null;
  readonly event_types: readonly string[] | null;
}

/** Every key, oldest first; never its hash. */
export const listKeys = (databaseUrl: string | undefined): Promise<ListedKey[]> =>
  asOwner(databaseUrl, async (pool) => {
    const found = await pool.query<ListedKey>(`
      select id, name, scopes, origins, event_types, case when revoked_at is not null then 'revoked' when expires_at <= now() then 'expired' when is_development then 'development' else 'active' end as state
      from gateway.api_keys order by created_at, id`);
    return found.rows;
  });

/** False where there is no such key, or it is revoked already. A gateway that knows the key refuses it within 30 s. */
export const revokeKey = (databaseUrl: string | undefined, id: string): Promise<boolean> =>
  asOwner(databaseUrl, async (pool) => (await pool.query('update gateway.api_keys set revoked_at = now() where id = $1 and revoked_at is null', [id])).rowCount === 1);
