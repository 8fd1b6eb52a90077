import { DatabaseError } from 'pg';

/** Postgres error codes that callers handle (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
export const UNIQUE_VIOLATION = '23505';
export const FOREIGN_KEY_VIOLATION = '23503';
/** A lock was waited for as long as `lock_timeout` says. */
export const LOCK_NOT_AVAILABLE = '55P03';
export const INSUFFICIENT_PRIVILEGE = '42501';

/** Is this an error of that kind, of that constraint where one is named? */
export const isViolation = (error: unknown, code: string, constraint?: string): boolean =>
  error instanceof DatabaseError && error.code === code && (constraint === undefined || error.constraint === constraint);
