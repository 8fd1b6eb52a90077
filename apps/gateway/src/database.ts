import type { Db } from '@millrace/database';
import type { Generated } from 'kysely';

interface ApiKeysTable {
  readonly id: string;
  readonly name: string;
  readonly hash: string;
  readonly scopes: string[];
  readonly is_development: boolean;
  readonly created_at: Generated<string>;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  /** Only of publishable keys, like event_types. */
  readonly origins: string[] | null;
  readonly event_types: string[] | null;
}

interface AuditLogTable {
  readonly id: Generated<number>;
  readonly at: Generated<string>;
  readonly key_id: string;
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly request_id: string;
}

export interface GatewaySchema {
  'gateway.api_keys': ApiKeysTable;
  'gateway.audit_log': AuditLogTable;
}
export type GatewayDb = Db<GatewaySchema>;
