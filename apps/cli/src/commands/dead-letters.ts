import { readFile, writeFile } from 'node:fs/promises';
import type { Client } from '@millrace/client';
import { discardDeadLetters, editDeadLetter, getDeadLetter, listDeadLetters, replayDeadLetters } from '@millrace/contracts';
import type { DeadLetterBody, DeadLetterDetailBody } from '@millrace/contracts';
import { FailedError } from '../failed-error.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';

export interface FilterOptions {
  readonly topic?: string;
  readonly group?: string;
  readonly reason?: string;
  readonly key?: string;
  readonly since?: string;
  readonly until?: string;
}

const filterOf = ({ topic, group, reason, key, since, until }: FilterOptions): FilterOptions =>
  Object.fromEntries(Object.entries({ topic, group, reason, key, since, until }).filter(([, value]) => value !== undefined));

/** Of one answer, and of one request that names letters. */
const PAGE = 200;
const MAX_IDS = 1_000;
const MAX_LISTED = 100_000;

export interface Listed {
  readonly letters: readonly DeadLetterBody[];
  readonly hasMore: boolean;
}

/** The oldest `limit` of each group, page by page. */
export async function listLetters(client: Client, options: FilterOptions, limit: number): Promise<Listed> {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LISTED) throw new UsageError(`--limit must be a whole number from 1 to ${MAX_LISTED}`);
  const letters: DeadLetterBody[] = [];
  for (let cursor: string | undefined; ; ) {
    const { body } = await client.call(listDeadLetters, { query: { ...filterOf(options), limit: Math.min(PAGE, limit - letters.length), cursor } });
    letters.push(...body.data);
    if (body.page.next === null || letters.length >= limit) return { letters, hasMore: body.page.next !== null };
    cursor = body.page.next;
  }
}

const columns: readonly Column<DeadLetterBody>[] = [
  { head: 'ID', of: ({ id }) => id },
  { head: 'KEY', of: ({ key }) => key ?? '-', maxLength: 40 },
  { head: 'EVENT', of: ({ event_type: type }) => type ?? '-', maxLength: 20 },
  { head: 'TRIES', of: ({ attempts }) => attempts },
  { head: 'PARKED', of: ({ last_seen: lastSeen }) => lastSeen },
  { head: 'REASON', of: ({ reason }) => reason, maxLength: 100 },
];
export const describeLetters = (letters: readonly DeadLetterBody[]): string => (letters.length === 0 ? 'no dead letters' : renderTable(columns, letters));

export const showLetter = async (client: Client, id: string): Promise<DeadLetterDetailBody> => (await client.call(getDeadLetter, { params: { id } })).body;

/** Indented where it is JSON; a letter may be dead because it is not. */
function readable(data: string): string {
  try {
    return JSON.stringify(JSON.parse(data), undefined, 2);
  } catch {
    return data;
  }
}

/** Writes the letter's data alone, to be edited; readable by its owner only. */
export async function saveData(letter: DeadLetterDetailBody, file: string): Promise<void> {
  await writeFile(file, `${readable(letter.fields['data'] ?? '')}\n`, { mode: 0o600 }).catch((error: unknown) => {
    throw new UsageError(`${file} cannot be written`, { cause: error });
  });
}

async function parseData(given: string): Promise<unknown> {
  const file = given.startsWith('@') ? given.slice(1) : undefined;
  const text = file === undefined ? given : await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`${file} is not a file that can be read`, { cause: error });
  });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file ?? '--data'} is not JSON: ${error instanceof Error ? error.message : ''}`, { cause: error });
  }
}

/** Replaces the letter's data by JSON text, or by that of `@file`. Returns the letter under its new id. */
export const editLetter = async (client: Client, id: string, given: string): Promise<DeadLetterDetailBody> =>
  (await client.call(editDeadLetter, { params: { id }, body: { data: await parseData(given) } })).body;

export interface ChooseOptions extends FilterOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  /** Discard what was not named one by one. */
  readonly yes?: boolean;
}

type Choice = { readonly ids: string[] } | { readonly filter: FilterOptions };
type Action = 'replay' | 'discard';

/** Exactly one of ids, filters and --all: nothing is chosen by leaving something out. */
function chosen(ids: readonly string[], options: ChooseOptions): Choice {
  const filter = filterOf(options);
  const ways = [ids.length > 0, Object.keys(filter).length > 0, options.all === true].filter(Boolean).length;
  if (ways === 0) throw new UsageError('say which ones: ids, a filter (--topic, --group, --reason, --key, --since, --until), or --all');
  if (ways > 1) throw new UsageError('say ids, or a filter, or --all: only one of them');
  return ids.length > 0 ? { ids: [...ids] } : { filter };
}

const requestsOf = (choice: Choice): readonly Choice[] =>
  'filter' in choice ? [choice] : Array.from({ length: Math.ceil(choice.ids.length / MAX_IDS) }, (_, n) => ({ ids: choice.ids.slice(n * MAX_IDS, (n + 1) * MAX_IDS) }));

async function send(client: Client, action: Action, choice: Choice, dryRun: boolean): Promise<{ count: number; missing: string[] }> {
  const operation = action === 'replay' ? replayDeadLetters : discardDeadLetters;
  const sum = { count: 0, missing: [] as string[] };
  for (const one of requestsOf(choice)) {
    const { body } = await client.call(operation, { body: { ...one, dry_run: dryRun } });
    sum.count += body.count;
    sum.missing.push(...body.missing);
  }
  return sum;
}

const letters = (count: number): string => `${count} dead ${count === 1 ? 'letter' : 'letters'}`;

/**
 * Replays or discards the chosen letters and returns one line about it. Discarding by filter needs --yes, else it tells how many it would be (UsageError).
 * FailedError where a named one is not there (any more); the others are done then.
 */
export async function changeLetters(client: Client, action: Action, ids: readonly string[], options: ChooseOptions): Promise<string> {
  const choice = chosen(ids, options);
  const isDryRun = options.dryRun === true;
  if (action === 'discard' && 'filter' in choice && !isDryRun && options.yes !== true) {
    const { count } = await send(client, action, choice, true);
    if (count > 0) throw new UsageError(`this would discard ${letters(count)} for good: add --yes to do it`);
  }
  const { count, missing } = await send(client, action, choice, isDryRun);
  const done = `${isDryRun ? `dry run: would ${action}` : `${action}ed`} ${letters(count)}`;
  if (missing.length > 0) throw new FailedError(`${done}; not there (any more): ${missing.join(', ')}`);
  return done;
}
