import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bundleAll } from '../local/bundles.ts';
import { api, boundaries, lint, lock, report, types } from '../local/checks.ts';
import type { Check } from '../local/checks.ts';
import { readJestReport } from '../local/jest-report.ts';
import type { TestCounts } from '../local/jest-report.ts';
import { root } from '../local/paths.ts';
import { sharedEnv } from '../local/shared-data.ts';
import { startTestServers } from '../local/test-run.ts';
import type { TestServers } from '../local/test-run.ts';

const USAGE = `npm test [-- FOLDER… PATTERN…] [--no-checks]
  FOLDER     a project (libs/bus) or a folder in it: only its lint, types and tests
  PATTERN    part of the test files' paths
  TEST_SCALE=full runs the large sizes; TEST_ELASTICSEARCH_URL, TEST_QDRANT_URL, TEST_MILVUS_ADDRESS, TEST_REDIS_8_URL, TEST_REDIS_STACK_URL add the suites that need those servers.
  MILLRACE_SHARED is the folder with real data (default ../shared, where it is there).`;

interface Wanted {
  /** Folders below the repository's root; empty = everything. */
  readonly folders: readonly string[];
  readonly patterns: readonly string[];
}

const isFolder = (word: string): boolean => existsSync(join(root, word)) && statSync(join(root, word)).isDirectory();

function parse(args: readonly string[]): Wanted {
  const words = args.filter((arg) => !arg.startsWith('--'));
  return { folders: words.filter(isFolder).map((word) => word.replace(/\/+$/, '')), patterns: words.filter((word) => !isFolder(word)) };
}

/** apps/<app> or libs/<lib> of a folder in it: the place of its tsconfig. */
const projectOf = (folder: string): string => folder.split('/').slice(0, 2).join('/');

async function staticChecks({ folders }: Wanted): Promise<Check[]> {
  const done: Check[] = [];
  const add = (checks: readonly Check[]): void => {
    for (const check of checks) report(check);
    done.push(...checks);
  };
  add([await lint(folders)]);
  add(await Promise.all([boundaries(), lock(), api()]));
  if (folders.length === 0) add([await types()]);
  else for (const project of new Set(folders.map(projectOf))) add([await types(project)]);
  return done;
}

/** At the small size files wait for servers and timers most of their time. */
const WORKERS = process.env['TEST_SCALE'] === 'full' ? 2 : 4;

function jestArgs({ folders, patterns }: Wanted, reportFile: string): string[] {
  const roots = folders.length > 0 ? folders : ['apps', 'libs', 'scripts'];
  return [
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    `--config=${join(root, 'jest.config.mjs')}`,
    `--rootDir=${root}`,
    `--maxWorkers=${WORKERS}`,
    '--json',
    `--outputFile=${reportFile}`,
    ...roots.map((folder) => `--roots=${join(root, folder)}`),
    ...(patterns.length > 0 ? ['--testPathPatterns', ...patterns] : []),
  ];
}

/** All tests in one jest process: starting one for each project costs more than the tests. */
async function runJest(wanted: Wanted, servers: TestServers, onChild: (child: ChildProcess) => void): Promise<TestCounts> {
  const reportFile = join(servers.dir, 'jest.json');
  const env = { ...process.env, ...sharedEnv(), ...servers.env, NODE_ENV: 'test' };
  // --json makes jest write its report to standard output as well: progress comes on standard error.
  const child = spawn(process.execPath, jestArgs(wanted, reportFile), { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] });
  onChild(child);
  const code = await new Promise<number>((done) => {
    child.once('error', () => done(1));
    child.once('exit', (exit) => done(exit ?? 1));
  });
  const counts = readJestReport(reportFile);
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** Ctrl-C and a kill must not leave servers behind. */
function stopOnSignals(stop: () => Promise<void>): void {
  let isStopping = false;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      if (isStopping) return;
      isStopping = true;
      void stop().finally(() => process.exit(130));
    });
}

/** Test files that start apps: from bundles, in half the time. */
const needsBundles = ({ folders, patterns }: Wanted): boolean =>
  globSync('scripts/test/{*.e2e,bundle}.test.ts', { cwd: root }).some(
    (file) => (folders.length === 0 || folders.some((folder) => file.startsWith(`${folder}/`))) && (patterns.length === 0 || patterns.some((pattern) => new RegExp(pattern, 'i').test(file))),
  );

async function startAndTest(wanted: Wanted, starting: Promise<TestServers>): Promise<TestCounts> {
  const [servers, bundles] = await Promise.all([starting, needsBundles(wanted) ? bundleAll() : '']);
  let jest: ChildProcess | undefined;
  process.once('exit', () => jest?.kill('SIGTERM'));
  return runJest(wanted, { ...servers, env: { ...servers.env, MILLRACE_BUNDLES: bundles } }, (child) => (jest = child));
}

/** Tests wait for servers, timers and each other most of their time: the checks have what they leave of the processors. At full size they leave nothing, so the checks come first. */
async function checkAndTest(wanted: Wanted, servers: Promise<TestServers>, withChecks: boolean): Promise<{ checks: Check[]; counts: TestCounts }> {
  const checking = withChecks ? staticChecks(wanted) : Promise.resolve([]);
  if (process.env['TEST_SCALE'] === 'full') await checking;
  const [checks, counts] = await Promise.all([checking, startAndTest(wanted, servers)]);
  return { checks, counts };
}

/** npm test: static checks and every test, on servers of its own. Ends with the line "N passed, N failed". */
export async function run(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(USAGE);
    return 0;
  }
  const started = performance.now();
  const servers = startTestServers();
  const stop = async (): Promise<void> => {
    const [running] = await Promise.allSettled([servers]);
    if (running.status === 'fulfilled') await running.value.stop();
  };
  stopOnSignals(stop);
  const finished = await Promise.allSettled([checkAndTest(parse(args), servers, !args.includes('--no-checks'))]);
  await stop();
  if (finished[0].status === 'rejected') throw finished[0].reason;
  const { checks, counts } = finished[0].value;
  for (const check of checks) if (!check.ok) report(check);
  for (const line of counts.absent) console.log(line);
  const passed = counts.passed + checks.filter(({ ok }) => ok).length;
  const failed = counts.failed + checks.filter(({ ok }) => !ok).length;
  console.log(`checks: ${checks.map(({ name, ok }) => `${name} ${ok ? 'passed' : 'failed'}`).join(', ') || 'left out'}; tests: ${counts.passed} passed; ${((performance.now() - started) / 1_000).toFixed(0)} s`);
  console.log(`${passed} passed, ${failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''}`);
  return failed === 0 && counts.passed > 0 ? 0 : 1;
}
