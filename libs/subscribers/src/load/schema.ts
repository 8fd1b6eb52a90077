import { datasetNames } from '../datasets.ts';
import { emptyGenerationStatements, schema } from './tables.ts';

/**
 * The first migration of the schema: what is told of generations. Their own tables are made by loads and belong to whoever loads. Generation 0 of
 * each dataset is empty, stays for ever, and is what the pointer begins with.
 */
export const generationTableStatements = (): readonly string[] => [
  `create table ${schema}.dataset_generations (
    dataset text not null check (dataset in (${datasetNames.map((name) => `'${name}'`).join(', ')})),
    number integer not null,
    state text not null check (state in ('loading', 'ready', 'dropped')),
    rows bigint not null default 0,
    bad_rows bigint not null default 0,
    file_name text,
    file_bytes bigint,
    file_sha256 text,
    mapping text,
    last_month date,
    made_at timestamptz not null default now(),
    primary key (dataset, number))`,
  `create table ${schema}.generation_sets (
    redis integer primary key,
    recommendations integer not null,
    profiles integer not null,
    arpu integer not null,
    previous integer references ${schema}.generation_sets,
    state text not null check (state in ('building', 'ready', 'dropped')),
    stats jsonb not null default '{}',
    made_at timestamptz not null default now(),
    retired_at timestamptz)`,
  `create table ${schema}.pointer (
    only_one boolean primary key default true check (only_one),
    recommendations integer not null,
    profiles integer not null,
    arpu integer not null,
    redis integer not null references ${schema}.generation_sets,
    version bigint not null,
    switched_at timestamptz not null default now())`,
  `create table ${schema}.loads (
    id bigint generated always as identity primary key,
    state text not null check (state in ('running', 'done', 'refused', 'failed', 'abandoned')),
    report jsonb not null default '{}',
    started_at timestamptz not null default now(),
    ended_at timestamptz)`,
  `create table ${schema}.bad_rows (
    load_id bigint not null references ${schema}.loads on delete cascade,
    dataset text not null,
    file text not null,
    line bigint not null,
    "column" text not null,
    reason text not null,
    isdn text)`,
  `create index bad_rows_load on ${schema}.bad_rows (load_id, dataset, line)`,
  `create index bad_rows_isdn on ${schema}.bad_rows (isdn) where isdn is not null`,
  ...emptyGenerationStatements(),
  ...datasetNames.map((name) => `insert into ${schema}.dataset_generations (dataset, number, state) values ('${name}', 0, 'ready')`),
  `insert into ${schema}.generation_sets (redis, recommendations, profiles, arpu, state) values (0, 0, 0, 0, 'ready')`,
  `insert into ${schema}.pointer (recommendations, profiles, arpu, redis, version) values (0, 0, 0, 0, 0)`,
];
