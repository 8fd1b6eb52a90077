import { Kysely, PostgresDialect } from 'kysely';
import type { Transaction } from 'kysely';
import type { Pool } from 'pg';

/** For reads and single statements. */
export type Db<S> = Kysely<S>;
/** Several writes that must commit together: a function that takes one cannot be called outside a transaction. */
export type Trx<S> = Transaction<S>;

export const createKysely = <S>(pool: Pool): Kysely<S> => new Kysely<S>({ dialect: new PostgresDialect({ pool }) });
