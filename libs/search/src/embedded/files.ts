/** The folder of an embedded index: `search-<n>.db` files and CURRENT, which names the live one. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';

const NAME = /^search-(\d+)$/;
const CURRENT = 'CURRENT';

export const indexPath = (directory: string, index: string): string => join(directory, `${index}.db`);

/** Changes with every other file under the same name; undefined where there is none. */
export function inodeOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}

/** Name of the live index; undefined where there is none. */
export function readCurrent(directory: string): string | undefined {
  const path = join(directory, CURRENT);
  if (!existsSync(path)) return undefined;
  const name = readFileSync(path, 'utf8').trim();
  return NAME.test(name) ? name : undefined;
}

/** Replaces CURRENT in one step, so that a reader sees the old or the new name. */
export function writeCurrent(directory: string, index: string): void {
  const temporary = join(directory, `${CURRENT}.${randomBytes(4).toString('hex')}`);
  const file = openSync(temporary, 'w');
  writeSync(file, `${index}\n`);
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, join(directory, CURRENT));
}

/** Names of all physical indexes, oldest first. */
export function listIndexes(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith('.db') && NAME.test(file.slice(0, -3)))
    .map((file) => file.slice(0, -3))
    .toSorted((a, b) => numberOf(a) - numberOf(b));
}

/** Claims the next free name with an empty file: two processes never get the same one. */
export function claimIndexName(directory: string): string {
  mkdirSync(directory, { recursive: true });
  // Behind the live name, too, whose file may be lost: a new index must not be live before it is built.
  const last = Math.max(numberOf(listIndexes(directory).at(-1) ?? 'search-0'), numberOf(readCurrent(directory) ?? 'search-0'));
  for (let n = last + 1; ; n++) {
    try {
      closeSync(openSync(indexPath(directory, `search-${n}`), 'wx'));
      return `search-${n}`;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
}

export function removeIndex(directory: string, index: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(indexPath(directory, index) + suffix, { force: true });
}

const numberOf = (index: string): number => Number(NAME.exec(index)?.[1] ?? 0);
