import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes of a file; of a folder, and of what has gone meanwhile (files of a database come and go), undefined. */
function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'EISDIR' || error.code === 'ENOENT')) return undefined;
    throw error;
  }
}

/** Files of a plane's embedded engines and its logs that have one of the texts. */
export const findInFiles = (stateDir: string, texts: readonly string[]): string[] =>
  globSync(['embedded/**/*', 'logs/**/*'], { cwd: stateDir }).filter((file) => {
    const bytes = read(join(stateDir, file));
    return bytes !== undefined && texts.some((text) => bytes.includes(text));
  });
