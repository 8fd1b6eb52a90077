import { randomUUID } from 'node:crypto';
import type { ApiKeyBody } from '@millrace/contracts';
import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import type { GatewayDb, GatewaySchema } from '../database.ts';

type Handle = GatewayDb | Transaction<GatewaySchema>;

export interface NewKey {
  readonly name: string;
  readonly hash: string;
  readonly scopes: readonly string[];
  readonly workspaceId: string;
  readonly createdBy: string;
  readonly expiresAt: string | undefined;
  /** Of a publishable key. */
  readonly pages?: { readonly origins: readonly string[]; readonly eventTypes: readonly string[] };
}

/** Returns the id. */
export async function insertKey(db: Handle, { name, hash, scopes, workspaceId, createdBy, expiresAt, pages }: NewKey): Promise<string> {
  const id = `key_${randomUUID()}`;
  await db
    .insertInto('gateway.api_keys')
    .values({
      id, name, hash, scopes: [...scopes], workspace_id: workspaceId, created_by: createdBy, is_development: false, expires_at: expiresAt ?? null, revoked_at: null,
      origins: pages ? [...new Set(pages.origins)] : null, event_types: pages ? [...new Set(pages.eventTypes)] : null,
    })
    .execute();
  return id;
}

/** As it is shown; undefined where the workspace has no such key. */
export const findKey = (db: Handle, workspaceId: string, id: string): Promise<ApiKeyBody | undefined> =>
  db.selectFrom('gateway.listed_keys').selectAll().where('workspace_id', '=', workspaceId).where('id', '=', id).executeTakeFirst();

/** Nobody else changes the key until this transaction ends. */
export async function lockKey(trx: Transaction<GatewaySchema>, workspaceId: string, id: string): Promise<ApiKeyBody | undefined> {
  await trx.selectFrom('gateway.api_keys').select('id').where('id', '=', id).where('workspace_id', '=', workspaceId).forUpdate().execute();
  return findKey(trx, workspaceId, id);
}

/** Where a page ends. */
export interface KeyPosition {
  readonly createdAt: string;
  readonly id: string;
}

/** Oldest first, behind `after`. */
export async function listKeys(db: GatewayDb, workspaceId: string, { limit, after }: { readonly limit: number; readonly after: KeyPosition | undefined }): Promise<readonly ApiKeyBody[]> {
  return db
    .selectFrom('gateway.listed_keys')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .$if(after !== undefined, (query) => query.where(sql<boolean>`(created_at, id) > (${after?.createdAt}, ${after?.id})`))
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute();
}

export interface KeyChanges {
  readonly name?: string;
  readonly expires_at?: string | null;
  readonly scopes?: readonly string[];
}
export async function updateKey(trx: Transaction<GatewaySchema>, id: string, { scopes, ...changes }: KeyChanges): Promise<void> {
  await trx.updateTable('gateway.api_keys').set({ ...changes, ...(scopes && { scopes: [...scopes] }) }).where('id', '=', id).execute();
}

/** False where the key is revoked, expired, or made for development. */
export async function rotateKey(trx: Transaction<GatewaySchema>, id: string, { hash, overlapSeconds }: { readonly hash: string; readonly overlapSeconds: number }): Promise<boolean> {
  const rotated = await sql<{ rotated: boolean }>`select gateway.rotate_key(${id}, ${hash}, ${overlapSeconds}) as rotated`.execute(trx);
  return rotated.rows[0]?.rotated === true;
}

/** Does nothing where it is revoked already. False where the workspace has no such key. */
export async function revokeKey(db: GatewayDb, workspaceId: string, id: string): Promise<boolean> {
  const found = await db.updateTable('gateway.api_keys').set({ revoked_at: sql`coalesce(revoked_at, now())` }).where('id', '=', id).where('workspace_id', '=', workspaceId).executeTakeFirst();
  return found.numUpdatedRows > 0n;
}
