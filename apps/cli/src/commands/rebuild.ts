import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@millrace/client/contract';
import { cancelRebuild, getRebuild, listRebuilds, rebuildIdSchema, rollbackRebuild, startRebuild } from '@millrace/contracts';
import type { Rebuild, RebuildStoreName } from '@millrace/contracts';
import { askPatiently } from '../ask-patiently.ts';
import { FailedError } from '../failed-error.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';

const POLL_MS = 500;

function storeOf(name: string): RebuildStoreName {
  if (name !== 'search' && name !== 'vectors') throw new UsageError(`there is no store ${name}: use search or vectors`);
  return name;
}

function checkId(id: string): string {
  if (!rebuildIdSchema.safeParse(id).success) throw new UsageError(`${id} is no id of a rebuild: use one that "rebuild list" shows, such as search-12`);
  return id;
}

export const startOf = async (client: Client, store: string, options: { readonly force?: boolean }): Promise<Rebuild> => (await client.call(startRebuild, { body: { store: storeOf(store), force: options.force ?? false } })).body;
export const cancelOf = async (client: Client, id: string): Promise<Rebuild> => (await client.call(cancelRebuild, { params: { id: checkId(id) } })).body;
export const rollbackOf = async (client: Client, id: string): Promise<Rebuild> => (await client.call(rollbackRebuild, { params: { id: checkId(id) } })).body;

export interface ListOptions { readonly store?: string; readonly limit: number }
export type RebuildList = Awaited<ReturnType<typeof listOf>>;

export async function listOf(client: Client, { store, limit }: ListOptions): Promise<{ readonly data: readonly Rebuild[]; readonly unavailable: readonly RebuildStoreName[] }> {
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) throw new UsageError('--limit must be a whole number from 1 to 100');
  return (await client.call(listRebuilds, { query: { limit, ...(store !== undefined && { store: storeOf(store) }) } })).body;
}

const seconds = (value: number | null): string => (value === null ? '-' : `${value} s`);
const columns: readonly Column<Rebuild>[] = [
  { head: 'ID', of: ({ id }) => id },
  { head: 'PHASE', of: ({ phase }) => phase },
  { head: 'REASON', of: ({ reason }) => reason },
  { head: 'INDEX', of: ({ target }) => target ?? '-' },
  { head: 'BEFORE', of: ({ previous }) => previous ?? '-' },
  { head: 'ROWS', of: ({ rows }) => rows },
  { head: 'OF', of: ({ total }) => total ?? '-' },
  { head: 'ROWS/S', of: ({ rows_per_second: rate }) => rate ?? '-' },
  { head: 'ETA', of: ({ eta_seconds: eta }) => seconds(eta) },
  { head: 'STARTED', of: ({ started_at: at }) => at.slice(0, 19) },
  { head: 'KEPT UNTIL', of: ({ kept_until: at }) => at?.slice(0, 19) ?? '-' },
  { head: 'ERROR', of: ({ error }) => error ?? '-', maxLength: 60 },
];

export const describeRebuilds = ({ data, unavailable }: RebuildList): readonly string[] => [renderTable(columns, data), ...unavailable.map((store) => `${store}: its worker cannot be asked now`)];

const progressOf = ({ id, phase, rows, total, rows_per_second: rate, eta_seconds: eta, error }: Rebuild): string =>
  `${id}: ${phase.replaceAll('_', ' ')}, ${rows}${total === null ? '' : ` of about ${total}`} rows${rate === null ? '' : `, ${rate} rows/s`}${eta === null ? '' : `, ETA ${eta} s`}${error === null ? '' : ` (${error})`}`;

/** Prints each change of the job until it has ended. Throws where it did not go live. */
export async function waitFor(client: Client, id: string, print: (line: string) => void): Promise<Rebuild> {
  for (let shown = ''; ; ) {
    const job = (await askPatiently(() => client.call(getRebuild, { params: { id } }))).body;
    const line = progressOf(job);
    if (line !== shown) print(line);
    shown = line;
    if (job.phase === 'done') return job;
    if (job.finished_at !== null) throw new FailedError(`${id} is ${job.phase}${job.error === null ? '' : `: ${job.error}`}`);
    await delay(POLL_MS);
  }
}

/** What the end of a rebuild means. */
export const describeDone = ({ id, target, previous, kept_until: until, checks }: Rebuild): readonly string[] => [
  ...checks.map(({ check, passed, detail }) => `${passed ? 'passed' : 'FAILED'}: ${check}: ${detail}`),
  `${target ?? id} is live${previous === null || until === null ? '' : `; ${previous} is kept until ${until}: rebuild rollback ${id}`}`,
];
