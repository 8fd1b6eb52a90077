import type { NewEvent, QuarantineChoiceBody, ReplayedQuarantineBody } from '@millrace/contracts';
import { inTransaction } from '@millrace/database';
import { AppError } from '@millrace/service';
import type { Pool, PoolClient } from 'pg';
import type { Door } from './door.ts';
import { deleteQuarantined, findIds, keepInvalid, lockQuarantined } from './quarantine.repository.ts';
import type { QuarantineRow, Refusal } from './quarantine.repository.ts';
import { safePointer } from './quarantine-text.ts';
import { readItem } from './read-events.ts';

export interface ReplayDeps {
  readonly pool: Pool;
  readonly door: Pick<Door, 'log'>;
}

/** Rows that are locked at the same time. */
const BATCH = 200;
const REASONS = 20;
/** The gateway gives up after 120 s. */
const LONGEST_MS = 100_000;
/** Above every id. */
const LAST_ID = '999999999999999999';

/** `isErased`: the door took nothing, for the user was erased; the row goes all the same. */
type Read = { readonly row: QuarantineRow; readonly event: NewEvent; readonly isErased?: boolean } | { readonly row: QuarantineRow; readonly refusal: Refusal };

/** As the door would read it now: under the item's event id, at the time it came where it has none of its own, so that a repetition is the same event in the same month. */
function readRow(row: QuarantineRow): Read {
  if (row.is_cut) return { row, refusal: { code: row.code, pointer: row.pointer, reason: row.reason } };
  const read = readItem(Buffer.from(row.raw));
  if ('problem' in read) return { row, refusal: { code: read.problem.code, pointer: safePointer(read.problem.pointer), reason: read.problem.detail } };
  return { row, event: { ...read.event, event_id: row.event_id, at: read.event.at ?? Date.parse(row.received_at) } };
}

interface Sum {
  count: number;
  still_invalid: number;
  reasons: { id: string; code: string; pointer: string; reason: string }[];
}

/** The rows go when the door has taken their events; a crash between the two repeats, and the event ids make that harmless. */
async function replayBatch(client: PoolClient, { door }: ReplayDeps, ids: readonly string[]): Promise<readonly Read[]> {
  const read = (await lockQuarantined(client, ids)).map(readRow);
  const valid = read.flatMap((one) => ('event' in one ? [one] : []));
  const answers = valid.length > 0 ? await door.log(valid.map(({ event }) => event)) : [];
  const erased = new Set(valid.flatMap(({ row }, index) => (answers[index]?.isErased === true ? [row.id] : [])));
  await deleteQuarantined(client, valid.map(({ row }) => row.id));
  await keepInvalid(client, read.flatMap((one) => ('refusal' in one ? [{ id: one.row.id, ...one.refusal }] : [])));
  return read.map((one) => ('event' in one ? { ...one, isErased: erased.has(one.row.id) } : one));
}

function add(sum: Sum, read: readonly Read[]): void {
  for (const one of read) {
    if ('event' in one) sum.count += one.isErased === true ? 0 : 1;
    else {
      sum.still_invalid += 1;
      if (sum.reasons.length < REASONS) sum.reasons.push({ id: one.row.id, ...one.refusal });
    }
  }
}

const chosenOf = ({ ids, filter = {} }: QuarantineChoiceBody): Parameters<typeof findIds>[1] => (ids === undefined ? { filter } : { ids });

/** Batches of ids, oldest first, each id once. What changes a row so that it no longer matches changes nothing for the others. */
export async function* chosenBatches(pool: Pool, choice: QuarantineChoiceBody): AsyncGenerator<readonly string[]> {
  const started = performance.now();
  for (let after = '0'; ; ) {
    const ids = await findIds(pool, chosenOf(choice), { after, limit: BATCH });
    if (ids.length > 0) yield ids;
    if (ids.length < BATCH) return;
    if (performance.now() - started > LONGEST_MS) throw new AppError('upstream_timeout', 'there is more than can be done in one request: a part is done, send the same again', { headers: { 'Retry-After': '1' } });
    after = ids.at(-1) ?? LAST_ID;
  }
}

/** Named ones that are not there. */
export async function missingOf(pool: Pool, { ids }: QuarantineChoiceBody): Promise<string[]> {
  if (ids === undefined) return [];
  const there = new Set(await findIds(pool, { ids }, { after: '0', limit: ids.length }));
  return [...new Set(ids)].filter((id) => !there.has(id));
}

/**
 * Sends what is valid now through the door and removes it; what is not stays, with its newest reason. In a dry run nothing changes.
 * @throws AppError unavailable where the door takes nothing now; what was done before stays done, and a repetition is harmless
 */
export async function replayQuarantined(deps: ReplayDeps, choice: QuarantineChoiceBody): Promise<ReplayedQuarantineBody> {
  const missing = await missingOf(deps.pool, choice);
  const sum: Sum = { count: 0, still_invalid: 0, reasons: [] };
  for await (const ids of chosenBatches(deps.pool, choice)) {
    const read = await inTransaction(deps.pool, async (client) => (choice.dry_run ? (await lockQuarantined(client, ids)).map(readRow) : replayBatch(client, deps, ids)));
    add(sum, read);
  }
  return { ...sum, missing, dry_run: choice.dry_run };
}
