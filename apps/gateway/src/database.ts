import type { ApiKeyBody, PlanState, PlanStepState } from '@millrace/contracts';
import type { Db, Trx } from '@millrace/database';
import type { Generated } from 'kysely';

interface ApiKeysTable {
  readonly id: string;
  readonly name: string;
  readonly hash: string;
  readonly scopes: string[];
  readonly workspace_id: Generated<string>;
  readonly created_by: Generated<string | null>;
  readonly rotated_at: Generated<string | null>;
  readonly is_development: boolean;
  readonly created_at: Generated<string>;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  /** Only of publishable keys, like event_types. */
  readonly origins: string[] | null;
  readonly event_types: string[] | null;
}

/** Secrets from before a rotation, while they still work. */
interface OldKeySecretsTable {
  readonly hash: string;
  readonly key_id: string;
  readonly valid_until: string;
}

/** View: keys as they are shown; times are ISO 8601 in UTC. */
interface ListedKeysView extends Omit<ApiKeyBody, 'scopes' | 'origins' | 'event_types'> {
  readonly scopes: string[];
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
  readonly workspace_id: Generated<string>;
}

interface PlansTable {
  readonly id: string;
  readonly caller: string;
  readonly workspace_id: string;
  readonly caller_kind: 'secret' | 'user';
  /** What the caller might do when they made it or ran it last. */
  readonly scopes: string[];
  /** Of a person: when the token that it was run with ends. */
  readonly caller_until: string | null;
  readonly title: string;
  readonly session_id: string | null;
  /** Whose session. */
  readonly session_of: string | null;
  readonly state: PlanState;
  /** Of whoever runs it: records with a smaller one are refused. */
  readonly fence: Generated<string>;
  /** Instance that has it now, for operators. */
  readonly holder: string | null;
  readonly question: string | null;
  readonly last_event: Generated<number>;
  /** Its session has been told up to here; while it runs this may stay behind. */
  readonly told_event: Generated<number>;
  readonly created_at: Generated<string>;
  readonly updated_at: Generated<string>;
  readonly ended_at: string | null;
}

interface PlanStepsTable {
  readonly plan_id: string;
  readonly number: number;
  /** The step as JSON, as it was sent and found right. */
  readonly call: string;
  readonly state: PlanStepState;
  readonly fence: Generated<string>;
  readonly attempts: Generated<number>;
  /** First and last call. */
  readonly started_at: string | null;
  readonly called_at: string | null;
  readonly ended_at: string | null;
  readonly status: number | null;
  readonly answer: string | null;
  readonly is_truncated: Generated<boolean>;
}

interface PlanEventsTable {
  readonly plan_id: string;
  readonly number: number;
  readonly event: 'plan' | 'step';
  readonly data: string;
}

export interface GatewaySchema {
  'gateway.plans': PlansTable;
  'gateway.plan_steps': PlanStepsTable;
  'gateway.plan_events': PlanEventsTable;
  'gateway.api_keys': ApiKeysTable;
  'gateway.old_key_secrets': OldKeySecretsTable;
  'gateway.listed_keys': ListedKeysView;
  'gateway.audit_log': AuditLogTable;
}
export type GatewayDb = Db<GatewaySchema>;
export type GatewayTrx = Trx<GatewaySchema>;
