import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const namePattern = /^vectors-(\d+)$/;
const currentFile = (directory: string): string => join(directory, 'CURRENT');

/** Path of a collection's file. Refuses a name that is not a collection's, so that none leads out of the directory. */
export function collectionPath(directory: string, collection: string): string {
  if (!namePattern.test(collection)) throw new Error(`not a name of a vector collection: ${JSON.stringify(collection)}`);
  return join(directory, `${collection}.db`);
}

/** Name of the live collection; undefined while there is none. */
export function readCurrent(directory: string): string | undefined {
  const content = textOf(currentFile(directory))?.trim();
  return content !== undefined && namePattern.test(content) ? content : undefined;
}

/** Replaced by rename: a reader sees the old name or the new one, also after a power cut. */
export function writeCurrent(directory: string, collection: string): void {
  const temporary = join(directory, `.CURRENT-${process.pid}-${randomBytes(4).toString('hex')}`);
  writeFileSync(temporary, `${collection}\n`, { flush: true });
  renameSync(temporary, currentFile(directory));
  const handle = openSync(directory, 'r');
  fsyncSync(handle);
  closeSync(handle);
}

export function listCollections(directory: string): string[] {
  mkdirSync(directory, { recursive: true });
  return readdirSync(directory).flatMap((file) => (file.endsWith('.db') && namePattern.test(file.slice(0, -3)) ? [file.slice(0, -3)] : []));
}

/** Takes the next free name by creating its empty file: two processes never take the same. */
export function reserveCollection(directory: string): string {
  for (;;) {
    // The live name counts, too: its file may be lost, and a new collection must not be live before it is built.
    const names = [...listCollections(directory), readCurrent(directory) ?? ''];
    const numbers = names.map((name) => Number(namePattern.exec(name)?.[1] ?? 0));
    const collection = `vectors-${Math.max(0, ...numbers) + 1}`;
    try {
      closeSync(openSync(collectionPath(directory, collection), 'wx'));
      return collection;
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }
}

export function removeCollectionFiles(directory: string, collection: string): void {
  const path = collectionPath(directory, collection);
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
}

/** Identity of the file behind a path; undefined where there is none. */
export const inodeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino;

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Not instanceof Error: it may come from another realm (a test runner's). */
const hasCode = (error: unknown, code: string): boolean => typeof error === 'object' && error !== null && 'code' in error && error.code === code;
