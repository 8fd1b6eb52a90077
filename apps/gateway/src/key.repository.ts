import { randomUUID } from 'node:crypto';
import { hashApiKey } from '@millrace/service';
import { sql } from 'kysely';
import type { GatewayDb } from './database.ts';

export interface KeyOwner { readonly id: string; readonly scopes: readonly string[]; readonly isDevelopment: boolean }

/** The owner of a key that is neither revoked nor expired. */
export async function findKeyOwner(db: GatewayDb, hash: string): Promise<KeyOwner | undefined> {
  const row = await db
    .selectFrom('gateway.api_keys')
    .select(['id', 'scopes', 'is_development'])
    .where('hash', '=', hash)
    .where('revoked_at', 'is', null)
    .where(sql<boolean>`(expires_at is null or expires_at > now())`)
    .executeTakeFirst();
  return row && { id: row.id, scopes: row.scopes, isDevelopment: row.is_development };
}

/** Registers this installation's development key; once, whatever is started again or beside. */
export async function registerDevelopmentKey(db: GatewayDb, key: string, scopes: readonly string[]): Promise<void> {
  await db
    .insertInto('gateway.api_keys')
    .values({ id: `key_${randomUUID()}`, name: 'development', hash: hashApiKey(key), scopes: [...scopes], is_development: true, expires_at: null, revoked_at: null })
    .onConflict((conflict) => conflict.column('hash').doUpdateSet({ scopes: [...scopes] }))
    .execute();
}
