import { randomUUID } from 'node:crypto';
import { defaultPublishableTypes, eventTypeScope } from '@millrace/contracts';
import { hashApiKey } from '@millrace/service';
import { sql } from 'kysely';
import type { GatewayDb } from './database.ts';

export interface KeyOwner {
  readonly id: string;
  /** Of a publishable key also the types of events that it may send, see `eventTypeScope`. */
  readonly scopes: readonly string[];
  readonly isDevelopment: boolean;
  /** A publishable key: only the operations that say so, from pages of these origins only. */
  readonly origins?: readonly string[];
}

const isActive = sql<boolean>`revoked_at is null and (expires_at is null or expires_at > now())`;

/** The owner of a key that is neither revoked nor expired. */
export async function findKeyOwner(db: GatewayDb, hash: string): Promise<KeyOwner | undefined> {
  const row = await db.selectFrom('gateway.api_keys').select(['id', 'scopes', 'is_development', 'origins', 'event_types']).where('hash', '=', hash).where(isActive).executeTakeFirst();
  if (!row) return undefined;
  const { id, scopes, is_development: isDevelopment, origins, event_types: types } = row;
  return { id, isDevelopment, scopes: [...scopes, ...(types ?? []).map(eventTypeScope)], ...(origins && { origins }) };
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
