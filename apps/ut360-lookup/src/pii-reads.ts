import { AppError } from '@millrace/service';
import type { Identity } from '@millrace/service';
import type { Pool } from 'pg';

export interface PiiReads {
  /** Writes down who reads how many unmasked ISDNs, before they are read. Throws forbidden (no scope pii:read), too_many_requests (quota), unavailable (it cannot be written down). */
  allow(identity: Identity, read: { readonly operation: string; readonly isdns: number; readonly requestId: string | undefined }): Promise<void>;
}

/** The count only grows where it stays within the quota; then the read is logged in the same statement. */
const STATEMENT = `
  with counted as (
    insert into ut360.pii_quotas as q (subject, day, isdns) values ($1, (now() at time zone 'UTC')::date, $2)
    on conflict (subject, day) do update set isdns = q.isdns + excluded.isdns where q.isdns + excluded.isdns <= $3
    returning isdns)
  insert into ut360.pii_reads (subject, operation, isdns, request_id) select $1, $4, $2, $5 from counted returning id`;

export function createPiiReads(pool: Pool, dailyQuota: number): PiiReads {
  return {
    async allow({ subject, scopes }, { operation, isdns, requestId }) {
      if (!scopes.includes('pii:read')) throw new AppError('forbidden', 'unmasked ISDNs need the scope pii:read', { details: [{ in: 'query', pointer: '/unmask', detail: 'needs the scope pii:read' }] });
      const refused = new AppError('too_many_requests', `this key may read ${dailyQuota} unmasked ISDNs a day (UTC): ask without unmask, for fewer, or tomorrow`, { headers: { 'Retry-After': '3600' } });
      if (isdns > dailyQuota) throw refused;
      const { rowCount } = await pool.query(STATEMENT, [subject, isdns, dailyQuota, operation, requestId ?? null]).catch((error: unknown) => {
        throw new AppError('unavailable', 'unmasked ISDNs are not shown while their reading cannot be written down', { cause: error });
      });
      if (rowCount === 0) throw refused;
    },
  };
}
