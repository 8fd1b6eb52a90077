import { SinkUnavailableError } from '@millrace/bus';
import type { BusLogger } from '@millrace/bus';
import { BusSetupError, GroupMissingError, LeaseLostError } from '@millrace/bus/engine';
import { DatabaseError, Pool } from 'pg';
import { createSchema, FUNCTIONS_VERSION, GROUP_MISSING, LEASE_LOST, replaceFunctions, SCHEMA_VERSION } from './schema.ts';

export type Value = string | number | boolean | null | readonly (string | number)[];

/** One statement, which is a transaction of its own: a pooler in transaction mode is enough. */
export type Run = (sql: string, values: readonly Value[]) => Promise<readonly Readonly<Record<string, unknown>>[]>;

export interface Client {
  readonly run: Run;
  /** The schema's name, quoted. */
  readonly schema: string;
  readonly address: PostgresAddress;
  close(): Promise<void>;
}

export interface PostgresAddress {
  readonly connectionString: string;
  readonly schema: string;
  /** For messages: without the password. */
  readonly shown: string;
}

const DEFAULT_SCHEMA = 'millrace_bus';
const QUERY_MS = 10_000;
/** Serialises the making of the schema among services that start at the same time. */
const INSTALL_LOCK = 7_301_955_418_220_337;

/** `postgres://role:password@host/database?schema=millrace_bus`. @throws BusSetupError on a schema that is no plain name */
export function parsePostgresUrl(url: string): PostgresAddress {
  const parsed = new URL(url);
  const schema = parsed.searchParams.get('schema') ?? DEFAULT_SCHEMA;
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) throw new BusSetupError('BUS_URL: the schema of a Postgres bus is a plain lower-case name, such as ?schema=millrace_bus');
  parsed.searchParams.delete('schema');
  return { connectionString: parsed.href, schema, shown: `${parsed.hostname}:${parsed.port === '' ? '5432' : parsed.port}${parsed.pathname}` };
}

/** Connects when it is used; makes the schema at the first use. */
export function createClient(url: string, { max, logger }: { readonly max: number; readonly logger: BusLogger }): Client {
  const address = parsePostgresUrl(url);
  const schema = `"${address.schema}"`;
  const pool = new Pool({
    connectionString: address.connectionString, max, idleTimeoutMillis: 30_000, connectionTimeoutMillis: 5_000, query_timeout: QUERY_MS, keepAlive: true, application_name: 'millrace bus',
  });
  // Of idle connections: the next use opens another.
  pool.on('error', (error) => logger.warn({ error: error.message }, 'a connection of the bus to Postgres was lost'));
  let installing: Promise<void> | undefined;
  const installed = (): Promise<void> =>
    (installing ??= install(pool, address, logger).catch((error: unknown) => {
      installing = undefined;
      throw error;
    }));
  return {
    schema, address,
    async run(sql, values) {
      try {
        await installed();
        return (await pool.query<Record<string, unknown>>(sql, values.map(toParameter))).rows;
      } catch (error) {
        throw explained(error, address);
      }
    },
    close: () => pool.end(),
  };
}

/** pg takes arrays of any kind, but no readonly ones. */
const toParameter = (value: Value): unknown => (Array.isArray(value) ? [...value] : value);

async function install(pool: Pool, { schema, shown }: PostgresAddress, logger: BusLogger): Promise<void> {
  const client = await pool.connect();
  const quoted = `"${schema}"`;
  const isThere = async (sql: string): Promise<boolean> => (await client.query<{ there: boolean }>(`select ${sql} is not null as there`, [quoted])).rows[0]?.there === true;
  const versions = async (): Promise<{ version: number; functions: number } | undefined> => {
    if (!(await isThere("to_regclass($1 || '.meta')"))) return undefined;
    return (await client.query<{ version: number; functions: number }>(`select version, coalesce((to_jsonb(m) ->> 'functions')::int, 1) as functions from ${quoted}.meta m`)).rows[0];
  };
  const isOld = ({ version, functions }: { version: number; functions: number }): boolean => version === SCHEMA_VERSION && functions < FUNCTIONS_VERSION;
  try {
    const before = await versions();
    if (before === undefined || isOld(before)) {
      await client.query('begin');
      await client.query('select pg_advisory_xact_lock($1)', [INSTALL_LOCK]);
      const found = await versions();
      if (found === undefined) {
        await client.query(createSchema(quoted, await isThere('to_regnamespace($1)')));
        logger.info({ schema, server: shown }, 'the tables of the bus were made');
      } else if (isOld(found)) {
        await client.query(replaceFunctions(quoted));
        logger.info({ schema, server: shown, from: found.functions, to: FUNCTIONS_VERSION }, 'the functions of the bus were brought to a newer version');
      }
      await client.query('commit');
    }
    const found = await versions();
    if (found?.version !== SCHEMA_VERSION) throw new BusSetupError(`the schema ${schema} of the bus has version ${found?.version ?? 'none'} and this program knows ${SCHEMA_VERSION}: run the newest release, or name another schema in BUS_URL (?schema=)`);
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/** Failures that stay until somebody acts, each with the sentence that says what to do. */
const SETUP: Readonly<Record<string, string>> = {
  '28P01': 'refuses the password of BUS_URL',
  '28000': 'refuses the role of BUS_URL (pg_hba.conf, or the role may not log in)',
  '3D000': 'has no database of the name in BUS_URL: create it',
  '42501': 'denies the role of BUS_URL what the bus needs: grant it CREATE on the database, or make the schema for it (create schema … authorization …)',
  '42P01': 'lacks a table of the bus: its schema was changed by hand. Restore it, or name another schema in BUS_URL (?schema=)',
  '42883': 'lacks a function of the bus: its schema was changed by hand. Restore it, or name another schema in BUS_URL (?schema=)',
};
/** The server is there and cannot work now. */
const NOT_NOW: Readonly<Record<string, string>> = {
  '53100': 'its disk is full: make room, publishing waits meanwhile',
  '53200': 'it is out of memory',
  '53300': 'it has no connection left: raise max_connections, or lead BUS_URL through a pooler',
  '25006': 'it is read-only (a replica, or a failover)',
  '57014': 'it cancelled the statement',
  '40P01': 'it found a deadlock',
  '40001': 'it could not serialize the statement with others',
  '55P03': 'a lock was not free in time',
};

function explained(error: unknown, { shown }: PostgresAddress): unknown {
  if (error instanceof BusSetupError) return error;
  const code = error instanceof DatabaseError ? (error.code ?? '') : '';
  const message = error instanceof Error ? error.message : String(error);
  if (code === GROUP_MISSING) return new GroupMissingError(message);
  if (code === LEASE_LOST) return new LeaseLostError(message);
  if (SETUP[code] !== undefined) return new BusSetupError(`the Postgres of the bus (${shown}) ${SETUP[code]}: ${message}`, { cause: error });
  if (NOT_NOW[code] !== undefined) return new SinkUnavailableError(`the Postgres of the bus (${shown}) cannot work now, ${NOT_NOW[code]}: ${message}`, { cause: error });
  // What the server says of a statement is a bug of ours; all else is the way to it. Poolers end connections with codes of their own.
  const hasEnded = error instanceof DatabaseError && (error.severity === 'FATAL' || error.severity === 'PANIC');
  if (code !== '' && !hasEnded && !/^(08|57|53|58)/.test(code)) return error;
  return new SinkUnavailableError(`the Postgres of the bus (${shown}) does not answer: ${message}`, { cause: error });
}
