import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { root, stateDir } from '../local/paths.ts';
import { stackFileOf } from '../local/stack.ts';

const stackSchema = z.object({ gatewayUrl: z.url(), developmentKeyFile: z.string(), publishableKeyFile: z.string() });

/** What the running `npm start` knows; the caller's own variables win. */
function localKeys(): Record<string, string> {
  const { gatewayUrl, developmentKeyFile, publishableKeyFile } = stackSchema.parse(JSON.parse(readFileSync(stackFileOf(stateDir()), 'utf8')));
  const read = (file: string): string => readFileSync(file, 'utf8').trim();
  return { MILLRACE_URL: gatewayUrl, MILLRACE_API_KEY: read(developmentKeyFile), MILLRACE_PUBLISHABLE_KEY: read(publishableKeyFile) };
}

/** npm run example: the example shop on http://localhost:8090, beside `npm start`. */
export async function run(): Promise<number> {
  const isGiven = process.env['MILLRACE_API_KEY'] !== undefined && process.env['MILLRACE_PUBLISHABLE_KEY'] !== undefined;
  let keys: Record<string, string> = {};
  try {
    if (!isGiven) keys = localKeys();
  } catch (error) {
    throw new Error('Millrace does not run here: "npm start" it in another terminal, or set MILLRACE_URL, MILLRACE_API_KEY and MILLRACE_PUBLISHABLE_KEY', { cause: error });
  }
  const child = spawn(process.execPath, [join(root, 'examples', 'shop', 'server.ts')], { env: { ...keys, ...process.env }, stdio: 'inherit' });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill(name));
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('exit', (code) => done(code ?? 0));
  });
}
