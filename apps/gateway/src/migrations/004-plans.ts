import { planStates, planStepStates } from '@millrace/contracts';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Plans, their steps, and what happened in them, in its order. Purged after PLAN_RETENTION_HOURS: bodies and answers may hold personal data. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const oneOf = (values: readonly string[]): string => `in (${values.map((value) => `'${value}'`).join(', ')})`;

const statements = [
  `create table gateway.plans (
     id uuid primary key,
     caller text not null,
     workspace_id text not null,
     caller_kind text not null check (caller_kind in ('secret', 'user')),
     scopes text[] not null,
     caller_until timestamptz,
     title text not null,
     session_id uuid,
     session_of text,
     state text not null check (state ${oneOf(planStates)}),
     fence bigint not null default 0,
     holder text,
     question text,
     last_event integer not null default 0,
     created_at timestamptz not null default now(),
     updated_at timestamptz not null default now(),
     ended_at timestamptz)`,
  'create index plans_caller on gateway.plans (workspace_id, caller)',
  'create index plans_updated on gateway.plans (updated_at)',
  // Every gateway looks for these every second.
  `create index plans_running on gateway.plans (updated_at) where state in ('running', 'cancelling')`,
  `create table gateway.plan_steps (
     plan_id uuid not null references gateway.plans (id) on delete cascade,
     number integer not null,
     call text not null,
     state text not null check (state ${oneOf(planStepStates)}),
     fence bigint not null default 0,
     attempts integer not null default 0,
     started_at timestamptz,
     called_at timestamptz,
     ended_at timestamptz,
     status integer,
     answer text,
     is_truncated boolean not null default false,
     primary key (plan_id, number))`,
  `create table gateway.plan_events (
     plan_id uuid not null references gateway.plans (id) on delete cascade,
     number integer not null,
     event text not null,
     data text not null,
     primary key (plan_id, number))`,
  // The last word on who may write, whatever the code above it does.
  `create function gateway.refuse_late_record() returns trigger language plpgsql as $$
   begin
     if new.fence < old.fence then raise exception 'a record with the fence % is too late: % has the plan', new.fence, old.fence; end if;
     return new;
   end $$`,
  'create trigger plan_steps_fence before update on gateway.plan_steps for each row execute function gateway.refuse_late_record()',
];
