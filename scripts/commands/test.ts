import type { ChildProcess } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bundleAll } from '../local/bundles.ts';
import { api, boundaries, lint, lock, report, types } from '../local/checks.ts';
import type { Check } from '../local/checks.ts';
import { addCounts } from '../local/jest-report.ts';
import type { TestCounts } from '../local/jest-report.ts';
import { hasPlanes, runJest } from '../local/jest.ts';
import type { Half, Wanted } from '../local/jest.ts';
import { root } from '../local/paths.ts';
import { sharedEnv } from '../local/shared-data.ts';
import { startTestServers } from '../local/test-run.ts';
import type { TestServers } from '../local/test-run.ts';

const USAGE = `npm test [-- FOLDER… PATTERN…] [--no-checks]
  FOLDER     a project (libs/bus) or a folder in it: only its lint, types and tests
  PATTERN    part of the test files' paths
  TEST_SCALE=full runs the large sizes; TEST_ELASTICSEARCH_URL, TEST_QDRANT_URL, TEST_MILVUS_ADDRESS, TEST_REDIS_8_URL, TEST_REDIS_STACK_URL add the suites that need those servers.
  MILLRACE_SHARED is the folder with real data (default ../shared, where it is there).`;

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

/** Planes start from bundles, in half the time; the other tests need not wait for those. */
async function startAndTest(wanted: Wanted, starting: Promise<TestServers>): Promise<TestCounts> {
  const children = new Set<ChildProcess>();
  process.once('exit', () => children.forEach((child) => child.kill('SIGTERM')));
  const test = async (half: Half, bundles: string): Promise<TestCounts> => {
    const servers = await starting;
    const env = { ...process.env, ...sharedEnv(), ...servers.env, MILLRACE_BUNDLES: bundles, NODE_ENV: 'test' };
    return runJest({ wanted, half, env, dir: servers.dir, onChild: (child) => children.add(child) });
  };
  return addCounts(await Promise.all([test('others', ''), ...(hasPlanes(wanted) ? [bundleAll().then((bundles) => test('planes', bundles))] : [])]));
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
