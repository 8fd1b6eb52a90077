import type { AuditEntryBody } from '@millrace/contracts';
import { sql } from 'kysely';
import type { GatewayDb } from './database.ts';

export interface AuditEntry {
  readonly keyId: string;
  readonly workspaceId: string;
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly requestId: string;
}

export async function appendAudit(db: GatewayDb, { keyId, workspaceId, requestId, ...entry }: AuditEntry): Promise<void> {
  await db.insertInto('gateway.audit_log').values({ key_id: keyId, workspace_id: workspaceId, request_id: requestId, ...entry }).execute();
}

export interface AuditFilter {
  readonly workspaceId: string;
  readonly limit: number;
  /** ISO 8601; from this time on, before that time. */
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly keyId: string | undefined;
  readonly operation: string | undefined;
  readonly status: { readonly from: number; readonly to: number } | undefined;
  /** The last entry of the page before. */
  readonly before: { readonly at: string; readonly id: number } | undefined;
}

/** Newest first, by time and then by id; all that is given must hold. */
export async function listAuditEntries(db: GatewayDb, { workspaceId, limit, since, until, keyId, operation, status, before }: AuditFilter): Promise<readonly AuditEntryBody[]> {
  const conditions = [
    sql`workspace_id = ${workspaceId}`,
    ...(since === undefined ? [] : [sql`at >= ${since}::timestamptz`]),
    ...(until === undefined ? [] : [sql`at < ${until}::timestamptz`]),
    ...(keyId === undefined ? [] : [sql`key_id = ${keyId}`]),
    ...(operation === undefined ? [] : [sql`operation = ${operation}`]),
    ...(status === undefined ? [] : [sql`status between ${status.from} and ${status.to}`]),
    ...(before === undefined ? [] : [sql`(at, id) < (${before.at}::timestamptz, ${before.id}::bigint)`]),
  ];
  const found = await sql<AuditEntryBody>`
    select id, to_char(log.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, workspace_id, key_id, operation, method, path, status, request_id
    from gateway.audit_log log where ${sql.join(conditions, sql` and `)} order by log.at desc, id desc limit ${limit}`.execute(db);
  return found.rows;
}
