// Benchmarks, evaluations and chaos runs: one file each in scripts/<kind>, with `run()` that returns rows, or a script of its own.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { root } from './paths.ts';
import { sharedEnv } from './shared-data.ts';
import { startTestServers } from './test-run.ts';

export type Kind = 'bench' | 'eval' | 'chaos' | 'security';

const optional = z.union([z.number(), z.string(), z.boolean()]).nullish();
/** One line of a result. `ratio` = value / baseline; `goal` and `met` are absent where nothing is promised. */
const rowSchema = z.looseObject({ operation: z.string(), value: z.number(), unit: z.string(), baseline: z.number().nullish(), ratio: z.number().nullish(), goal: optional, met: z.boolean().nullish() });
export type ResultRow = z.output<typeof rowSchema>;
const rowsSchema = z.array(rowSchema);

const fileOf = (kind: Kind, name: string): string => join(root, 'scripts', kind, `${name}.ts`);
const hasRun = (text: string): boolean => /^export (async function|function|const) run\b/m.test(text);

/** Names that can be run; helper files beside them are none. */
export function listExperiments(kind: Kind): string[] {
  const dir = join(root, 'scripts', kind);
  const files = existsSync(dir) ? readdirSync(dir).filter((file) => file.endsWith('.ts')) : [];
  return files.filter((file) => /import\.meta\.main/.test(readFileSync(join(dir, file), 'utf8')) || hasRun(readFileSync(join(dir, file), 'utf8'))).map((file) => file.slice(0, -3));
}

const shown = (value: number | string | boolean | null | undefined): string => {
  if (value === null || value === undefined) return '';
  return typeof value === 'number' ? String(Number(value.toPrecision(4))) : String(value);
};
const metOf = ({ met }: ResultRow): string => (met === null || met === undefined ? '' : met ? 'yes' : 'NO');

/** Lines of cells, the first one the titles. */
export function inColumns(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]?.map((_title, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0))) ?? [];
  const text = lines.map((line) => line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ').trimEnd());
  return [text[0] ?? '', widths.map((width) => '-'.repeat(width)).join('  '), ...text.slice(1)].join('\n');
}

/** operation | value | unit | baseline | ratio | goal | met, in columns. */
export const toTable = (rows: readonly ResultRow[]): string =>
  inColumns([['operation', 'value', 'unit', 'baseline', 'ratio', 'goal', 'met'], ...rows.map((row) => [row.operation, shown(row.value), row.unit, shown(row.baseline), shown(row.ratio), shown(row.goal), metOf(row)])]);

interface Request {
  readonly name: string | undefined;
  readonly jsonFile: string | undefined;
  readonly rest: readonly string[];
}

function parse(args: readonly string[]): Request {
  const at = args.indexOf('--json');
  const jsonFile = at >= 0 ? args[at + 1] : undefined;
  const rest = args.filter((_arg, index) => at < 0 || (index !== at && index !== at + 1));
  return { name: rest[0], jsonFile: jsonFile === undefined ? undefined : resolve(process.env['MILLRACE_CWD'] ?? process.cwd(), jsonFile), rest: rest.slice(1) };
}

/** A file without `run()` prints by itself; it gets the same servers and arguments. */
function runScript(file: string, args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [file, ...args], { stdio: 'inherit', cwd: root });
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('exit', (code) => done(code ?? 1));
  });
}

async function runModule(file: string, { rest, jsonFile }: Request): Promise<number> {
  const loaded: unknown = await import(pathToFileURL(file).href);
  const run = typeof loaded === 'object' && loaded !== null && 'run' in loaded ? loaded.run : undefined;
  if (typeof run !== 'function') throw new Error(`${file} does not export run()`);
  const result: unknown = await run(rest);
  const rows = rowsSchema.parse(result);
  console.log(toTable(rows));
  if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(rows, null, 2)}\n`);
  return rows.some(({ met }) => met === false) ? 1 : 0;
}

/** Runs one by name on servers of its own. Exit code 0 = all goals met, 1 = not, 2 = no such name. */
export async function runExperiment(kind: Kind, args: readonly string[]): Promise<number> {
  const request = parse(args);
  const names = listExperiments(kind);
  if (request.name === undefined || !names.includes(request.name)) {
    console.error(request.name === undefined ? `usage: npm run ${kind} -- NAME [--json FILE]` : `there is no ${kind} called "${request.name}"`);
    console.error(names.length > 0 ? `${kind}: ${names.join(', ')}` : `there is none in scripts/${kind} yet`);
    return 2;
  }
  const servers = await startTestServers();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => void servers.stop().finally(() => process.exit(130)));
  Object.assign(process.env, sharedEnv(), servers.env);
  try {
    const file = fileOf(kind, request.name);
    if (hasRun(readFileSync(file, 'utf8'))) return await runModule(file, request);
    return await runScript(file, request.jsonFile === undefined ? request.rest : [...request.rest, '--json', request.jsonFile]);
  } finally {
    await servers.stop();
  }
}
