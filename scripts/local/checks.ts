import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { root } from './paths.ts';

/** One thing that passes or fails as a whole. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What it said; shown where it failed. */
  readonly output: string;
  readonly seconds: number;
  /** What is worth saying although it passed. */
  readonly note?: string;
}

/** Runs a program of the repository behind all else that the machine does, and collects what it says. */
export function runCheck(name: string, command: readonly [string, ...string[]]): Promise<Check> {
  const started = performance.now();
  const [program, ...args] = command;
  return new Promise((done) => {
    let output = '';
    const finish = (ok: boolean): void => done({ name, ok, output, seconds: (performance.now() - started) / 1_000 });
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('error', (error) => {
      output += error.message;
      finish(false);
    });
    child.once('close', (code) => finish(code === 0));
  });
}

const tool = (name: string): string => join(root, 'node_modules', '.bin', name);

export const lint = (paths: readonly string[]): Promise<Check> => runCheck('lint', [tool('oxlint'), '--type-aware', '--deny-warnings', ...paths]);
export const boundaries = (): Promise<Check> => runCheck('boundaries', [process.execPath, 'scripts/boundaries.ts']);
export const lock = (): Promise<Check> => runCheck('lock', [process.execPath, 'scripts/lock-check.ts']);

/** What the OpenAPI document has changed for callers since this branch left main; says where there is nothing to compare with. */
export async function api(): Promise<Check> {
  const check = await runCheck('api', [process.execPath, 'scripts/openapi-diff.ts']);
  return { ...check, note: check.output.split('\n')[0] ?? '' };
}

/** One compiler run over everything, or over one project that has its own tsconfig. */
export const types = (project?: string): Promise<Check> =>
  runCheck('types', [tool('tsc'), '-p', project !== undefined && existsSync(join(root, project, 'tsconfig.json')) ? project : '.', '--pretty', 'false']);

/** Says a check's result on one line, and all that it said where it failed. */
export function report(check: Check): void {
  console.log(`${check.ok ? 'PASS' : 'FAIL'} ${check.name} (${check.seconds.toFixed(1)} s)${check.ok && check.note !== undefined ? `: ${check.note}` : ''}`);
  if (!check.ok) console.log(check.output.trimEnd());
}
