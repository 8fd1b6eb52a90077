import { randomUUID } from 'node:crypto';
import { defaultPublishableTypes, eventTypeScope } from '@millrace/contracts';
import { hashApiKey } from '@millrace/service';
import { sql } from 'kysely';
import type { GatewayDb } from './database.ts';

/** Who calls: the owner of a key, or a person by a token. */
export interface KeyOwner {
  /** Id of the key, or `user:<sub>`. */
  readonly id: string;
  readonly workspaceId: string;
  readonly kind: 'secret' | 'publishable' | 'user';
  /** Of a publishable key also the types of events that it may send, see `eventTypeScope`. */
  readonly scopes: readonly string[];
  readonly isDevelopment: boolean;
  /** A publishable key: only the operations that say so, from pages of these origins only. */
  readonly origins?: readonly string[];
  /** By this process' clock (Date.now()); undefined: does not expire. */
  readonly expiresAtMs?: number;
  /** By a token that a gateway handed on: whoever calls acts for this caller. */
  readonly isDelegated?: true;
  /** The program that calls for them, as it names itself; of handed-on tokens only. */
  readonly clientName?: string;
}

const isActive = sql<boolean>`revoked_at is null and (expires_at is null or expires_at > now())`;

interface FoundKey {
  readonly id: string;
  readonly workspace_id: string;
  readonly scopes: readonly string[];
  readonly is_development: boolean;
  readonly origins: readonly string[] | null;
  readonly event_types: readonly string[] | null;
  readonly expires_in_ms: number | null;
}

function toKeyOwner(row: FoundKey): KeyOwner {
  const { id, workspace_id: workspaceId, scopes, is_development: isDevelopment, origins, event_types: types, expires_in_ms: expiresInMs } = row;
  return {
    id, workspaceId, isDevelopment, kind: origins ? 'publishable' : 'secret', scopes: [...scopes, ...(types ?? []).map(eventTypeScope)],
    ...(origins && { origins }),
    ...(expiresInMs !== null && { expiresAtMs: Date.now() + expiresInMs }),
  };
}

/** The owner of a key that is neither revoked nor expired, by its newest secret or an older one that still works. */
export async function findKeyOwner(db: GatewayDb, hash: string): Promise<KeyOwner | undefined> {
  const found = await sql<FoundKey>`
    select id, workspace_id, scopes, is_development, origins, event_types, (extract(epoch from least(expires_at, secret.valid_until) - now()) * 1000)::float8 as expires_in_ms
    from (select id as key_id, null::timestamptz as valid_until from gateway.api_keys where hash = ${hash}
          union all select key_id, valid_until from gateway.old_key_secrets where hash = ${hash} and valid_until > now()) secret
    join gateway.api_keys on id = secret.key_id
    where ${isActive}`.execute(db);
  const row = found.rows[0];
  return row && toKeyOwner(row);
}

/** The same by the key's id, whichever secret its owner has now. */
export async function findKeyOwnerById(db: GatewayDb, id: string): Promise<KeyOwner | undefined> {
  const found = await sql<FoundKey>`
    select id, workspace_id, scopes, is_development, origins, event_types, (extract(epoch from expires_at - now()) * 1000)::float8 as expires_in_ms
    from gateway.api_keys where id = ${id} and ${isActive}`.execute(db);
  const row = found.rows[0];
  return row && toKeyOwner(row);
}

/** Every origin that an active publishable key names. */
export async function findOrigins(db: GatewayDb, { isProduction }: { readonly isProduction: boolean }): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('gateway.api_keys')
    .select('origins')
    .where('origins', 'is not', null)
    .where(isActive)
    .$if(isProduction, (query) => query.where('is_development', '=', false))
    .execute();
  return new Set(rows.flatMap(({ origins }) => origins ?? []));
}

/** Registers this installation's development key; once, whatever is started again or beside. */
export async function registerDevelopmentKey(db: GatewayDb, key: string, scopes: readonly string[]): Promise<void> {
  await db
    .insertInto('gateway.api_keys')
    .values({ id: `key_${randomUUID()}`, name: 'development', hash: hashApiKey(key), scopes: [...scopes], is_development: true, expires_at: null, revoked_at: null, origins: null, event_types: null })
    .onConflict((conflict) => conflict.column('hash').doUpdateSet({ scopes: [...scopes] }))
    .execute();
}

/** Where pages of a developer's own machine are served: the example shop, and the usual tools. */
const LOCAL_PORTS = [8090, 3000, 5173, 8000];
export const developmentOrigins: readonly string[] = ['localhost', '127.0.0.1'].flatMap((host) => LOCAL_PORTS.map((port) => `http://${host}:${port}`));

/** The same for the development key of pages. */
export async function registerDevelopmentPublishableKey(db: GatewayDb, key: string): Promise<void> {
  const allowed = { scopes: ['events:write'], origins: [...developmentOrigins], event_types: [...defaultPublishableTypes] };
  await db
    .insertInto('gateway.api_keys')
    .values({ id: `key_${randomUUID()}`, name: 'development, for pages', hash: hashApiKey(key), is_development: true, expires_at: null, revoked_at: null, ...allowed })
    .onConflict((conflict) => conflict.column('hash').doUpdateSet(allowed))
    .execute();
}
