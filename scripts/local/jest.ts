import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { readJestReport } from './jest-report.ts';
import type { TestCounts } from './jest-report.ts';
import { root } from './paths.ts';

export interface Wanted {
  /** Folders below the repository's root; empty = everything. */
  readonly folders: readonly string[];
  readonly patterns: readonly string[];
}

/** Files that start whole planes, and all others. */
export type Half = 'planes' | 'others';

const PLANES = ['*.e2e.test.ts', 'bundle.test.ts'].map((name) => join('scripts/test', name));

export const hasPlanes = ({ folders, patterns }: Wanted): boolean =>
  globSync(PLANES, { cwd: root }).some(
    (file) => (folders.length === 0 || folders.some((folder) => file.startsWith(`${folder}/`))) && (patterns.length === 0 || patterns.some((pattern) => new RegExp(pattern, 'i').test(file))),
  );

const asRegExp = (glob: string): string => `/${glob.replaceAll('.', String.raw`\.`).replaceAll('*', '[^/]*')}$`;

/** One plane at a time. At the small size the other files wait for servers and timers most of their time. */
const WORKERS = { planes: 1, others: process.env['TEST_SCALE'] === 'full' ? 1 : 3 };

function jestArgs({ folders, patterns }: Wanted, half: Half, reportFile: string): string[] {
  const roots = folders.length > 0 ? folders : ['apps', 'libs', 'scripts'];
  return [
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    `--config=${join(root, 'jest.config.mjs')}`,
    `--rootDir=${root}`,
    `--maxWorkers=${WORKERS[half]}`,
    // With it a single worker is a process of its own, too.
    '--workerIdleMemoryLimit=2GB',
    '--passWithNoTests',
    '--json',
    `--outputFile=${reportFile}`,
    ...roots.map((folder) => `--roots=${join(root, folder)}`),
    ...PLANES.map((file) => (half === 'planes' ? `--testMatch=${join(root, file)}` : `--testPathIgnorePatterns=${asRegExp(file)}`)),
    ...(patterns.length > 0 ? ['--testPathPatterns', ...patterns] : []),
  ];
}

export interface RunJest {
  readonly wanted: Wanted;
  readonly half: Half;
  readonly env: NodeJS.ProcessEnv;
  /** For its report. */
  readonly dir: string;
  readonly onChild: (child: ChildProcess) => void;
}

/** All tests of a half in one jest process: starting one for each project costs more than the tests. Never two files with planes run at once. */
export async function runJest({ wanted, half, env, dir, onChild }: RunJest): Promise<TestCounts> {
  const reportFile = join(dir, `jest-${half}.json`);
  // --json makes jest write its report to standard output as well: progress comes on standard error.
  const child = spawn(process.execPath, jestArgs(wanted, half, reportFile), { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] });
  onChild(child);
  const code = await new Promise<number>((done) => {
    child.once('error', () => done(1));
    child.once('exit', (exit) => done(exit ?? 1));
  });
  const counts = readJestReport(reportFile);
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}
