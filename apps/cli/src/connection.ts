import { readFile } from 'node:fs/promises';
import { createClient } from '@millrace/client/contract';
import type { Client } from '@millrace/client/contract';
import { z } from 'zod';
import type { Config } from './config.ts';
import { UsageError } from './usage-error.ts';

const stackSchema = z.object({ gatewayUrl: z.url(), developmentKeyFile: z.string() });

async function localStack(file: string | undefined): Promise<z.output<typeof stackSchema> | undefined> {
  if (file === undefined) return undefined;
  try {
    return stackSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return undefined;
  }
}

export interface Target {
  readonly baseUrl: string;
  readonly apiKey: string;
}

/** The configured gateway and key, else those of the local stack. Throws UsageError without a key. */
export async function targetOf(config: Config): Promise<Target> {
  const stack = await localStack(config.MILLRACE_STACK_FILE);
  const baseUrl = config.MILLRACE_URL ?? stack?.gatewayUrl ?? 'http://127.0.0.1:8080';
  const apiKey = config.MILLRACE_API_KEY ?? (stack && (await readFile(stack.developmentKeyFile, 'utf8').catch(() => undefined))?.trim());
  if (apiKey === undefined) throw new UsageError('no API key: start the local stack by "npm start", or set MILLRACE_API_KEY (and MILLRACE_URL)');
  return { baseUrl, apiKey };
}

/** A client of the configured gateway, else of the local stack. */
export const connect = async (config: Config, timeoutMs?: number): Promise<Client> => createClient({ ...(await targetOf(config)), ...(timeoutMs !== undefined && { timeoutMs }) });
