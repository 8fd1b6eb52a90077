import { readFile, writeFile } from 'node:fs/promises';
import { UsageError } from './usage-error.ts';

/** Indented where it is JSON; what an event holds may be none. */
function readable(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return text;
  }
}

/** Writes a text to be edited, indented where it is JSON; readable by its owner only. UsageError where it cannot be written. */
export async function saveText(text: string, file: string): Promise<void> {
  await writeFile(file, `${readable(text)}\n`, { mode: 0o600 }).catch((error: unknown) => {
    throw new UsageError(`${file} cannot be written`, { cause: error });
  });
}

export interface GivenJson<T> {
  /** Of the command line. */
  readonly option: string;
  /** For the error: `JSON`, `a JSON object`. */
  readonly what: string;
  /** Throws where it is not. */
  readonly parse: (value: unknown) => T;
}

/** JSON text, or that of `@file`. UsageError where it cannot be read or is not what is wanted. */
export async function readGiven<T>(given: string, { option, what, parse }: GivenJson<T>): Promise<T> {
  const file = given.startsWith('@') ? given.slice(1) : undefined;
  const text = file === undefined ? given : await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`${file} is not a file that can be read`, { cause: error });
  });
  try {
    return parse(JSON.parse(text));
  } catch (error) {
    throw new UsageError(`${file ?? option} is not ${what}${error instanceof SyntaxError ? `: ${error.message}` : ''}`, { cause: error });
  }
}
