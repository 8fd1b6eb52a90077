import { logEvents } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { Quarantine, RefusedItem, Sender } from './quarantine.ts';
import { splitItems } from './read-events.ts';
import type { ReadItem } from './read-events.ts';

export interface RefusedList {
  /** What was given, and what it was read as, from this index on. */
  readonly items: readonly unknown[];
  readonly read: readonly ReadItem[];
  readonly from: number;
  readonly sender: Sender;
}

/** Keeps the bad items of a list. Nothing waits for it. */
export function keepRefusedItems(quarantine: Quarantine, { items, read, from, sender }: RefusedList): void {
  const count = read.filter((one) => 'problem' in one).length;
  if (count === 0) return;
  quarantine.keep({ route: logEvents.path, ...sender }, count, () =>
    read.flatMap((one, place): RefusedItem[] => ('problem' in one ? [{ item: items[place], place: from + place, code: one.problem.code, pointer: one.problem.pointer, reason: one.problem.detail }] : [])));
}

/** The items of a body; keeps the beginning of one that is no list at all. */
export function splitOrKeep(quarantine: Quarantine, body: Buffer, sender: Sender): readonly unknown[] {
  try {
    return splitItems(body);
  } catch (error) {
    if (error instanceof AppError && error.code === 'malformed_body') quarantine.keep({ route: logEvents.path, ...sender }, 1, () => [{ item: body, code: error.code, pointer: '', reason: error.message }]);
    throw error;
  }
}
