import { spawn } from 'node:child_process';
import { mainOf } from '../local/apps.ts';
import { stateDir } from '../local/paths.ts';
import { stackFileOf } from '../local/stack.ts';

/** Garbage of a load is collected while it is young: it stays below 400 MB, and takes hardly longer. */
const YOUNG_MEMORY = '--max-semi-space-size=4';

/** npm run millrace -- …: the command line, told where the local stack describes itself. Its exit code is ours. */
export async function run(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [YOUNG_MEMORY, mainOf('cli'), ...args], {
    cwd: process.env['MILLRACE_CWD'] ?? process.cwd(),
    env: { ...process.env, MILLRACE_STACK_FILE: process.env['MILLRACE_STACK_FILE'] ?? stackFileOf(stateDir()) },
    stdio: 'inherit',
  });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill(name));
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('exit', (code) => done(code ?? 1));
  });
}
