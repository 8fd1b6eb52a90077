import type { Client } from '@millrace/client/contract';
import { discardDeadLetters, editDeadLetter, getDeadLetter, listDeadLetters, replayDeadLetters } from '@millrace/contracts';
import type { DeadLetterBody, DeadLetterDetailBody } from '@millrace/contracts';
import { changeChosen, choose } from '../chosen.ts';
import type { ChooseOptions } from '../chosen.ts';
import { readGiven, saveText } from '../json-file.ts';
import { listPages } from '../list-pages.ts';
import type { Listed } from '../list-pages.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

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

/** The oldest `limit` of each group, page by page. */
export const listLetters = (client: Client, options: FilterOptions, limit: number): Promise<Listed<DeadLetterBody>> =>
  listPages(limit, async (page) => (await client.call(listDeadLetters, { query: { ...filterOf(options), ...page } })).body);

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

/** Writes the letter's data alone, to be edited; readable by its owner only. A letter may be dead because it is no JSON. */
export const saveData = (letter: DeadLetterDetailBody, file: string): Promise<void> => saveText(letter.fields['data'] ?? '', file);

/** Replaces the letter's data by JSON text, or by that of `@file`. Returns the letter under its new id. */
export const editLetter = async (client: Client, id: string, given: string): Promise<DeadLetterDetailBody> =>
  (await client.call(editDeadLetter, { params: { id }, body: { data: await readGiven(given, { option: '--data', what: 'JSON', parse: (value) => value }) } })).body;

const FLAGS = '--topic, --group, --reason, --key, --since, --until';
const letters = (count: number): string => `${count} dead ${count === 1 ? 'letter' : 'letters'}`;

/** Replays or discards the chosen letters and returns one line about it; errors as of `changeChosen`. */
export async function changeLetters(client: Client, action: 'replay' | 'discard', ids: readonly string[], options: ChooseOptions & FilterOptions): Promise<string> {
  const operation = action === 'replay' ? replayDeadLetters : discardDeadLetters;
  const choice = choose(ids, filterOf(options), { all: options.all, flags: FLAGS });
  return changeChosen({ action, choice, name: letters, send: (body) => client.call(operation, { body }) }, options);
}
