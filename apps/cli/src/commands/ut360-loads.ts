import { listLoads } from '@millrace/subscribers';
import type { LoadSummary, Stores } from '@millrace/subscribers';
import { renderTable } from '../table.ts';
import { UsageError } from '../usage-error.ts';

const MAX_LOADS = 50;
const filesOf = ({ files }: LoadSummary): string => files.map(({ dataset, rows }) => `${dataset} ${rows}`).join(', ');

/** The last loads, the newest first: what they did, or the sentence of why not. */
export async function describeLoads({ pool }: Stores, { limit, json = false }: { readonly limit: number; readonly json?: boolean }): Promise<string> {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LOADS) throw new UsageError(`--limit must be a whole number from 1 to ${MAX_LOADS}`);
  const loads = await listLoads(pool, limit);
  if (json) return JSON.stringify(loads, undefined, 2);
  if (loads.length === 0) return 'nothing was loaded yet';
  return renderTable<LoadSummary>([
    { head: 'load', of: ({ id }) => id }, { head: 'state', of: ({ state, dry_run: isDry }) => (isDry === true ? `${state} (dry run)` : state) }, { head: 'began', of: ({ started_at: at }) => `${at.slice(0, 19)}Z` },
    { head: 'seconds', of: ({ seconds }) => seconds ?? '-' }, { head: 'generation', of: ({ generation }) => generation ?? '-' }, { head: 'rows', of: filesOf, maxLength: 80 },
    { head: 'bad', of: ({ files, bad_rows: kinds }) => (files.length > 0 ? files.reduce((sum, one) => sum + one.bad_rows, 0) : kinds.reduce((sum, one) => sum + one.rows, 0)) }, { head: 'error', of: ({ error }) => error ?? '', maxLength: 200 },
  ], loads);
}
