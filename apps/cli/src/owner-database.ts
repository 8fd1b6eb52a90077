import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Config } from './config.ts';

const stackSchema = z.object({ ownerDatabaseUrl: z.url() });

/** Postgres as its owner: the configured one, else that of the local stack, where it runs one itself; undefined where there is neither. */
export async function ownerDatabase({ DATABASE_URL: databaseUrl, MILLRACE_STACK_FILE: file }: Pick<Config, 'DATABASE_URL' | 'MILLRACE_STACK_FILE'>): Promise<string | undefined> {
  if (databaseUrl !== undefined || file === undefined) return databaseUrl;
  try {
    return stackSchema.parse(JSON.parse(await readFile(file, 'utf8'))).ownerDatabaseUrl;
  } catch {
    return undefined;
  }
}
