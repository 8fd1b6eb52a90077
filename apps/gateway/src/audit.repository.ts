import type { GatewayDb } from './database.ts';

export interface AuditEntry {
  readonly keyId: string;
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly requestId: string;
}

export async function appendAudit(db: GatewayDb, { keyId, requestId, ...entry }: AuditEntry): Promise<void> {
  await db.insertInto('gateway.audit_log').values({ key_id: keyId, request_id: requestId, ...entry }).execute();
}
