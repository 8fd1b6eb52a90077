import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mainOf } from './apps.ts';
import { root } from './paths.ts';

/** One file of logins for each database: another server or port means other URLs. */
function rolesFile(stateDir: string, databaseUrl: string): string {
  const { host, pathname } = new URL(databaseUrl);
  return join(stateDir, 'secrets', `roles-${createHash('sha256').update(`${host}${pathname}`).digest('hex').slice(0, 12)}.env`);
}

/** NAME=value lines; a value may be quoted. */
export function readEnvFile(file: string): Record<string, string> {
  if (!existsSync(file)) return {};
  const lines = readFileSync(file, 'utf8').matchAll(/^(?:export )?(\w+)=(['"]?)(.*)\2$/gm);
  return Object.fromEntries([...lines].map((match) => [match[1] ?? '', match[3] ?? '']));
}

/** Brings every schema up to date as the owner; returns each app's <APP>_DATABASE_URL. */
export async function migrate(stateDir: string, databaseUrl: string): Promise<Record<string, string>> {
  const file = rolesFile(stateDir, databaseUrl);
  const child = spawn(process.execPath, [mainOf('cli'), 'migrate'], {
    cwd: root,
    env: { ...process.env, DATABASE_URL: databaseUrl, MILLRACE_ROLES_FILE: file },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise<number | null>((done) => void child.once('close', done));
  if (code !== 0) throw new Error(`the migration failed (exit ${code}):\n${output.trimEnd()}`);
  return readEnvFile(file);
}
