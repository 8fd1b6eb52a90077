import type { Client } from '@millrace/client/contract';
import { discardQuarantine, getQuarantined, listQuarantine, repairQuarantined, replayQuarantine } from '@millrace/contracts';
import type { QuarantinedBody, QuarantinedDetailBody, ReplayedQuarantineBody, newEventSchema } from '@millrace/contracts';
import { z } from 'zod';
import { changeChosen, choose, requestsOf } from '../chosen.ts';
import type { Choice, ChooseOptions } from '../chosen.ts';
import { FailedError } from '../failed-error.ts';
import { readGiven, saveText } from '../json-file.ts';
import { listPages } from '../list-pages.ts';
import type { Listed } from '../list-pages.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

export interface QuarantineFilterOptions {
  readonly code?: string;
  readonly user?: string;
  readonly since?: string;
  readonly until?: string;
}

const filterOf = ({ code, user, since, until }: QuarantineFilterOptions): QuarantineFilterOptions =>
  Object.fromEntries(Object.entries({ code, user, since, until }).filter(([, value]) => value !== undefined));

/** The oldest `limit`, page by page. */
export const listItems = (client: Client, options: QuarantineFilterOptions, limit: number): Promise<Listed<QuarantinedBody>> =>
  listPages(limit, async (page) => (await client.call(listQuarantine, { query: { ...filterOf(options), ...page } })).body);

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

/** Writes the item's text alone, to be edited; readable by its owner only. */
export const saveItem = ({ raw }: QuarantinedDetailBody, file: string): Promise<void> => saveText(raw, file);

type NewItem = z.input<typeof newEventSchema>;
/** An object; what is wrong in it is the API's to say. */
const itemSchema = z.custom<NewItem>((value) => typeof value === 'object' && value !== null && !Array.isArray(value));

/** Replaces the item by a JSON object, or by that of `@file`. */
export const repairItem = async (client: Client, id: string, given: string): Promise<QuarantinedDetailBody> =>
  (await client.call(repairQuarantined, { params: { id }, body: { item: await readGiven(given, { option: '--item', what: 'a JSON object', parse: (value) => itemSchema.parse(value) }) } })).body;

export type QuarantineChooseOptions = ChooseOptions & QuarantineFilterOptions;

const chosen = (ids: readonly string[], options: QuarantineChooseOptions): Choice<QuarantineFilterOptions> =>
  choose(ids, filterOf(options), { all: options.all, flags: '--code, --user, --since, --until' });

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

/** Removes for good; errors as of `changeChosen`. */
export const discardItems = async (client: Client, ids: readonly string[], options: QuarantineChooseOptions): Promise<string> =>
  changeChosen({ action: 'discard', choice: chosen(ids, options), name: events, send: (body) => client.call(discardQuarantine, { body }) }, options);
