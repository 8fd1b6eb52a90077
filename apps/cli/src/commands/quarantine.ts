import { readFile, writeFile } from 'node:fs/promises';
import type { Client } from '@millrace/client';
import { discardQuarantine, getQuarantined, listQuarantine, repairQuarantined, replayQuarantine } from '@millrace/contracts';
import type { QuarantinedBody, QuarantinedDetailBody, ReplayedQuarantineBody, newEventSchema } from '@millrace/contracts';
import { z } from 'zod';
import { FailedError } from '../failed-error.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';

export interface QuarantineFilterOptions {
  readonly code?: string;
  readonly user?: string;
  readonly since?: string;
  readonly until?: string;
}

const filterOf = ({ code, user, since, until }: QuarantineFilterOptions): QuarantineFilterOptions =>
  Object.fromEntries(Object.entries({ code, user, since, until }).filter(([, value]) => value !== undefined));

/** Of one answer, and of one request that names items. */
const PAGE = 200;
const MAX_IDS = 1_000;
const MAX_LISTED = 100_000;

/** The oldest `limit`, page by page. */
export async function listItems(client: Client, options: QuarantineFilterOptions, limit: number): Promise<{ readonly items: readonly QuarantinedBody[]; readonly hasMore: boolean }> {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LISTED) throw new UsageError(`--limit must be a whole number from 1 to ${MAX_LISTED}`);
  const items: QuarantinedBody[] = [];
  for (let cursor: string | undefined; ; ) {
    const { body } = await client.call(listQuarantine, { query: { ...filterOf(options), limit: Math.min(PAGE, limit - items.length), cursor } });
    items.push(...body.data);
    if (body.page.next === null || items.length >= limit) return { items, hasMore: body.page.next !== null };
    cursor = body.page.next;
  }
}

const columns: readonly Column<QuarantinedBody>[] = [
  { head: 'ID', of: ({ id }) => id },
  { head: 'RECEIVED', of: ({ received_at: at }) => at },
  { head: 'ROUTE', of: ({ route, place }) => (place === null ? route : `${route} #${place}`) },
  { head: 'KEY', of: ({ key_id: key }) => key, maxLength: 20 },
  { head: 'USER', of: ({ user_id: user }) => user ?? '-', maxLength: 30 },
  { head: 'BYTES', of: ({ bytes }) => bytes },
  { head: 'CODE', of: ({ code }) => code },
  { head: 'REASON', of: ({ pointer, reason, repaired_at: repaired }) => (repaired === null ? `${pointer} ${reason}`.trim() : 'repaired: replay it'), maxLength: 100 },
];
export const describeItems = (items: readonly QuarantinedBody[]): string => (items.length === 0 ? 'nothing is in quarantine' : renderTable(columns, items));

export const showItem = async (client: Client, id: string): Promise<QuarantinedDetailBody> => (await client.call(getQuarantined, { params: { id } })).body;

/** Indented where it is JSON. */
function readable(raw: string): string {
  try {
    return JSON.stringify(JSON.parse(raw), undefined, 2);
  } catch {
    return raw;
  }
}

/** Writes the item's text alone, to be edited; readable by its owner only. */
export async function saveItem({ raw }: QuarantinedDetailBody, file: string): Promise<void> {
  await writeFile(file, `${readable(raw)}\n`, { mode: 0o600 }).catch((error: unknown) => {
    throw new UsageError(`${file} cannot be written`, { cause: error });
  });
}

type NewItem = z.input<typeof newEventSchema>;
/** An object; what is wrong in it is the API's to say. */
const itemSchema = z.custom<NewItem>((value) => typeof value === 'object' && value !== null && !Array.isArray(value));

async function parseItem(given: string): Promise<NewItem> {
  const file = given.startsWith('@') ? given.slice(1) : undefined;
  const text = file === undefined ? given : await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`${file} is not a file that can be read`, { cause: error });
  });
  try {
    return itemSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new UsageError(`${file ?? '--item'} is not a JSON object`, { cause: error });
  }
}

/** Replaces the item by a JSON object, or by that of `@file`. */
export const repairItem = async (client: Client, id: string, given: string): Promise<QuarantinedDetailBody> =>
  (await client.call(repairQuarantined, { params: { id }, body: { item: await parseItem(given) } })).body;

export interface QuarantineChooseOptions extends QuarantineFilterOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  /** Discard what was not named one by one. */
  readonly yes?: boolean;
}

type Choice = { readonly ids: string[] } | { readonly filter: QuarantineFilterOptions };

/** Exactly one of ids, filters and --all: nothing is chosen by leaving something out. */
function chosen(ids: readonly string[], options: QuarantineChooseOptions): Choice {
  const filter = filterOf(options);
  const ways = [ids.length > 0, Object.keys(filter).length > 0, options.all === true].filter(Boolean).length;
  if (ways === 0) throw new UsageError('say which ones: ids, a filter (--code, --user, --since, --until), or --all');
  if (ways > 1) throw new UsageError('say ids, or a filter, or --all: only one of them');
  return ids.length > 0 ? { ids: [...ids] } : { filter };
}

const requestsOf = (choice: Choice): readonly Choice[] =>
  'filter' in choice ? [choice] : Array.from({ length: Math.ceil(choice.ids.length / MAX_IDS) }, (_, n) => ({ ids: choice.ids.slice(n * MAX_IDS, (n + 1) * MAX_IDS) }));

const events = (count: number): string => `${count} ${count === 1 ? 'event' : 'events'}`;

/**
 * Logs what is valid now. FailedError where something stayed, or a named one is not there (any more); the others are done then.
 */
export async function replayItems(client: Client, ids: readonly string[], options: QuarantineChooseOptions): Promise<string> {
  const dryRun = options.dryRun === true;
  const sum: { count: number; still: number; missing: string[]; reasons: ReplayedQuarantineBody['reasons'] } = { count: 0, still: 0, missing: [], reasons: [] };
  for (const one of requestsOf(chosen(ids, options))) {
    const { body } = await client.call(replayQuarantine, { body: { ...one, dry_run: dryRun } });
    sum.count += body.count;
    sum.still += body.still_invalid;
    sum.missing.push(...body.missing);
    sum.reasons.push(...body.reasons);
  }
  const done = `${dryRun ? 'dry run: would replay' : 'replayed'} ${events(sum.count)}`;
  const reasons = sum.reasons.slice(0, 20).map(({ id, pointer, reason }) => `${id}: ${pointer} ${reason}`.replace(':  ', ': '));
  const problems = [
    ...(sum.still > 0 ? [`${events(sum.still)} still invalid`] : []),
    ...(sum.missing.length > 0 ? [`not there (any more): ${sum.missing.join(', ')}`] : []),
  ];
  if (problems.length > 0) throw new FailedError([[done, ...problems].join('; '), ...reasons].join('\n'));
  return done;
}

async function sendDiscard(client: Client, choice: Choice, dryRun: boolean): Promise<{ count: number; missing: string[] }> {
  const sum = { count: 0, missing: [] as string[] };
  for (const one of requestsOf(choice)) {
    const { body } = await client.call(discardQuarantine, { body: { ...one, dry_run: dryRun } });
    sum.count += body.count;
    sum.missing.push(...body.missing);
  }
  return sum;
}

/** Removes for good. By filter only with --yes, else it tells how many it would be (UsageError). FailedError where a named one is not there (any more). */
export async function discardItems(client: Client, ids: readonly string[], options: QuarantineChooseOptions): Promise<string> {
  const choice = chosen(ids, options);
  const dryRun = options.dryRun === true;
  if ('filter' in choice && !dryRun && options.yes !== true) {
    const { count } = await sendDiscard(client, choice, true);
    if (count > 0) throw new UsageError(`this would discard ${events(count)} for good: add --yes to do it`);
  }
  const { count, missing } = await sendDiscard(client, choice, dryRun);
  const done = `${dryRun ? 'dry run: would discard' : 'discarded'} ${events(count)}`;
  if (missing.length > 0) throw new FailedError(`${done}; not there (any more): ${missing.join(', ')}`);
  return done;
}
