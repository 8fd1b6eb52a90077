import { pause } from '@millrace/bus';
import { createInboxTable, createOutboxTables } from '@millrace/outbox';
import { Kysely, PostgresDialect } from 'kysely';
import { Pool } from 'pg';

const ACCOUNTS = 500;

export interface Truth {
  readonly schema: string;
  readonly pool: Pool;
  /** What the committed effects lack or have too much of. */
  compare(): Promise<Comparison>;
  /** The highest number that was given to a change. */
  lastNumber(): Promise<number>;
  /** Is there an effect of a change that was made after number `n`? */
  hasEffectBehind(n: number): Promise<boolean>;
  drop(): Promise<void>;
}

export interface Comparison {
  readonly changes: number;
  /** Changes without an effect. */
  readonly lost: number;
  /** Effects beyond the first of a change. */
  readonly repeated: number;
  /** Effects of changes that were rolled back. */
  readonly invented: number;
  /** Effects that were committed after one of a later change of their account. */
  readonly outOfOrder: number;
  /** Deliveries whose transaction committed, beyond the first of each: what the inbox has held off. */
  readonly heldOff: number;
  /** Rows that the relay has not taken. */
  readonly waiting: number;
}

/** Accounts that change, the outbox of their changes, and the effects, which nothing but the inbox keeps from being repeated. */
export async function createTruth(databaseUrl: string, schema: string): Promise<Truth> {
  const pool = new Pool({ connectionString: databaseUrl, max: 8 });
  // Its connections may outlive end() by a moment, and then see the server go.
  pool.on('error', () => undefined);
  const db = new Kysely({ dialect: new PostgresDialect({ pool }) });
  await pool.query(`create schema ${schema}`);
  await createOutboxTables(db, { schema });
  await createInboxTable(db, { schema });
  await pool.query(`
    create sequence ${schema}.numbers;
    create table ${schema}.accounts (key text primary key, n bigint not null);
    create table ${schema}.changes (n bigint primary key, key text not null);
    create table ${schema}.effects (place bigserial, event_id uuid not null, key text not null, n bigint not null, consumer text not null, at timestamptz not null default clock_timestamp());
    create table ${schema}.handlings (consumer text not null, events integer not null, fresh integer not null);
    create table ${schema}.positions (key text primary key);
    create index on ${schema}.effects (n);
    create index on ${schema}.effects (at);
    insert into ${schema}.accounts select 'account ' || i, 0 from generate_series(0, ${ACCOUNTS - 1}) as i;
    insert into ${schema}.positions select key from ${schema}.accounts`);
  const one = async (query: string, values: readonly unknown[] = []): Promise<number> => Number((await pool.query<{ value: string | number | null }>(query, [...values])).rows[0]?.value ?? 0);
  return {
    schema, pool,
    lastNumber: () => one(`select last_value as value from ${schema}.numbers`),
    hasEffectBehind: async (n) => (await one(`select count(*) as value from (select 1 from ${schema}.effects where n > $1 limit 1) as found`, [n])) > 0,
    async compare() {
      const [changes, lost, repeated, invented, outOfOrder, heldOff, waiting] = await Promise.all([
        one(`select count(*) as value from ${schema}.changes`),
        one(`select count(*) as value from ${schema}.changes where n not in (select n from ${schema}.effects)`),
        one(`select count(*) - count(distinct n) as value from ${schema}.effects`),
        one(`select count(*) as value from ${schema}.effects where n not in (select n from ${schema}.changes)`),
        one(`select count(*) as value from (select n, max(n) over (partition by key order by place rows between unbounded preceding and 1 preceding) as before from ${schema}.effects) as ordered where n < before`),
        one(`select coalesce(sum(events - fresh), 0) as value from ${schema}.handlings`),
        one(`select count(*) as value from ${schema}.outbox`),
      ]);
      return { changes, lost, repeated, invented, outOfOrder, heldOff, waiting };
    },
    async drop() {
      await pool.query(`drop schema ${schema} cascade`);
      await pool.end();
    },
  };
}

export interface Writing {
  /** Changes committed so far. */
  written(): number;
  /** Of transactions that were rolled back. */
  rolledBack(): number;
  /** By Date.now(); undefined while it is going on. */
  endedAt(): number | undefined;
  /** Resolves when all are written. */
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

export interface WriterOptions {
  readonly topic: string;
  readonly messages: number;
  readonly rate: number;
  readonly onCommit: () => void;
}

const WRITERS = 3;
const MOST_CHANGES = 60;
const ROLLED_BACK = 0.05;

/** Draws the numbers under the locks of the accounts' rows, as a service draws versions; the outbox rows commit with the changes. */
const changeSql = (schema: string): string => `
  with numbered as (update ${schema}.accounts set n = nextval('${schema}.numbers') where key = any($2::text[]) returning key, n),
  made as (insert into ${schema}.changes (n, key) select n, key from numbered)
  insert into ${schema}.outbox (stream, event_type, key, version, data)
  select $1, 'change', key, n, json_build_object('key', key, 'n', n)::text from numbered order by n`;

/** Writes transactions of 1 to 60 changes side by side, about `rate` changes a second, some of them rolled back. */
export function startWriting({ pool, schema }: Truth, { topic, messages, rate, onCommit }: WriterOptions): Writing {
  let [written, rolledBack] = [0, 0];
  let endedAt: number | undefined;
  const stopping = new AbortController();
  const startMs = performance.now();

  const transaction = async (keys: readonly string[]): Promise<boolean> => {
    const client = await pool.connect();
    try {
      await client.query('begin');
      await client.query(`select 1 from ${schema}.accounts where key = any($1::text[]) order by key for update`, [keys]);
      await client.query(changeSql(schema), [topic, keys]);
      const isKept = Math.random() >= ROLLED_BACK;
      await client.query(isKept ? 'commit' : 'rollback');
      if (isKept) written += keys.length;
      else rolledBack += keys.length;
      if (isKept) onCommit();
      return isKept;
    } finally {
      client.release();
    }
  };
  let begun = 0;
  const isDue = (): boolean => ((performance.now() - startMs) / 1_000) * rate >= begun;
  const writer = async (): Promise<void> => {
    while (!stopping.signal.aborted && begun < messages) {
      if (isDue()) {
        const keys = new Set(Array.from({ length: Math.ceil(Math.random() * MOST_CHANGES) }, () => `account ${Math.floor(Math.random() * ACCOUNTS)}`));
        begun += keys.size;
        if (!(await transaction([...keys]))) begun -= keys.size;
      } else {
        await pause(5, stopping.signal);
      }
    }
  };
  const done = Promise.all(Array.from({ length: WRITERS }, writer)).then(() => void (endedAt = Date.now()));
  return {
    written: () => written,
    rolledBack: () => rolledBack,
    endedAt: () => endedAt,
    done,
    async stop() {
      stopping.abort();
      await done;
    },
  };
}
