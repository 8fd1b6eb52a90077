import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { writeSampleFiles } from '@millrace/sample-subscribers';
import { listSets, loadFiles, parseBadRowLimit, parseMappings, planDrop, rollBack, underLoadLock, verifyGenerations } from '@millrace/subscribers';
import type { DatasetName, DropPlan, FailedLoad, FileMappings, GenerationSet, LoadReport, SourceFile, Stores } from '@millrace/subscribers';
import { StoppedError } from '../failed-error.ts';
import type { ShownProgress } from '../load-progress.ts';
import { renderTable } from '../table.ts';
import { UsageError } from '../usage-error.ts';

export interface LoadCommandOptions {
  readonly recommendations?: string;
  readonly profiles?: string;
  readonly arpu?: string;
  readonly dropDir?: string;
  readonly mapping?: string;
  readonly maxBad: string;
  readonly encoding?: string;
  readonly delimiter?: string;
  readonly dryRun?: boolean;
  readonly aliasKeys?: boolean;
  readonly report?: string;
}

async function readMappings(file: string | undefined): Promise<FileMappings> {
  if (file === undefined) return {};
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) throw new UsageError(`${file} is not a file that can be read`);
  return parseMappings(text);
}

function filesOf({ recommendations, profiles, arpu, encoding, delimiter }: LoadCommandOptions): Partial<Record<DatasetName, SourceFile>> {
  const source = (path: string): SourceFile => ({ path, encoding, delimiter });
  return { ...(recommendations !== undefined && { recommendations: source(recommendations) }), ...(profiles !== undefined && { profiles: source(profiles) }), ...(arpu !== undefined && { arpu: source(arpu) }) };
}

/** Before hours of work: can the report be written? */
async function checkReportFile(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  const file = await open(path, 'a').catch(() => undefined);
  if (file === undefined) throw new UsageError(`${path} (--report) cannot be written`);
  await file.close();
}

const writeReport = async (path: string | undefined, report: LoadReport | FailedLoad): Promise<void> => {
  if (path !== undefined) await writeFile(path, `${JSON.stringify(report, undefined, 2)}\n`);
};

const pathsOf = (plan: DropPlan | undefined): Partial<Record<DatasetName, string>> => Object.fromEntries(Object.entries(plan?.files ?? {}).map(([dataset, { path }]) => [dataset, path]));

interface FolderContext extends Pick<LoadContext, 'names' | 'note'> {
  readonly mappings: FileMappings;
  readonly signal: AbortSignal;
}

/** A look by hand need not wait as long as one at night. */
const SETTLE_MS = 2_000;

/** What is new in a drop folder, found as the schedule finds it. */
async function planFolder({ pool }: Stores, { dropDir: directory = '', ...given }: LoadCommandOptions, { names, note, mappings, signal }: FolderContext): Promise<DropPlan> {
  if (Object.keys(filesOf(given)).length > 0) throw new UsageError('either --drop-dir, or the files by their names');
  if ((await stat(directory).catch(() => undefined))?.isDirectory() !== true) throw new UsageError(`${directory} is not a folder that can be read`);
  const plan = await planDrop(pool, { directory, names, mappings, settleMs: SETTLE_MS, signal, encoding: given.encoding, delimiter: given.delimiter });
  for (const { file, reason } of plan.skipped) note(`${file} ${reason}`);
  if (Object.keys(plan.files).length === 0) note(plan.skipped.length === 0 ? `nothing to load: none of ${Object.values(names).join(', ')} is in ${directory}` : 'nothing to load');
  return plan;
}

export interface LoadContext {
  readonly keep: number;
  readonly progress: ShownProgress;
  /** Of the files in a drop folder. */
  readonly names: Readonly<Record<DatasetName, string>>;
  /** Which of them are left out, and why. */
  readonly note: (line: string) => void;
  /** Told of a load that has begun and is not live. */
  readonly onFailed?: (report: FailedLoad) => void;
}

/** Loads the named files, or what is new in a folder (undefined: nothing is); Ctrl-C stops it and leaves what is served as it is, a second one stops it at once. Writes the report in any case. */
export async function loadSubscribers(stores: Stores, options: LoadCommandOptions, { keep, progress, names, note, onFailed }: LoadContext): Promise<LoadReport | undefined> {
  const limit = parseBadRowLimit(options.maxBad);
  if (limit === undefined) throw new UsageError('--max-bad must be a share or a number of rows: --max-bad 1%, --max-bad 250');
  await checkReportFile(options.report);
  const stopping = new AbortController();
  const stop = (signal: NodeJS.Signals): void => {
    progress.say('stopping; once more: at once');
    stopping.abort(new StoppedError('stopped: what is served was not changed', signal === 'SIGINT' ? 130 : 143));
  };
  let failed: FailedLoad | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, stop);
  try {
    const mappings = await readMappings(options.mapping);
    const plan = options.dropDir === undefined ? undefined : await planFolder(stores, options, { names, note, mappings, signal: stopping.signal });
    if (plan !== undefined && Object.keys(plan.files).length === 0) return undefined;
    const report = await loadFiles(stores, {
      files: filesOf({ ...options, ...pathsOf(plan) }), mappings, limit, keep, progress, signal: stopping.signal,
      dryRun: options.dryRun === true, aliasKeys: options.aliasKeys === true, onFailed: (told) => { failed = told; }, ...(plan !== undefined && { confirm: () => plan.checkUnchanged() }),
    });
    await writeReport(options.report, report);
    return report;
  } catch (error) {
    if (failed !== undefined) {
      await writeReport(options.report, failed);
      onFailed?.(failed);
    }
    throw error;
  } finally {
    progress.stop();
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, stop);
  }
}

/** For people. */
export function describeLoad({ datasets, changes, counts, pointer, dry_run: isDry, seconds, removed_generations: removed, warnings, redis_bytes_per_subscriber: bytes }: LoadReport): string[] {
  const files = datasets.map((one) => `${one.dataset}: ${one.rows} rows of ${one.file}, ${one.bad_rows} bad${one.erased_rows > 0 ? `, ${one.erased_rows} left out (erased subscribers)` : ''}${one.resumed ? ', taken over from a load that was stopped' : `, ${one.seconds} s`}${one.ignored_columns.length > 0 ? `; columns left out: ${one.ignored_columns.join(', ')}` : ''}`);
  if (isDry) return [...files, ...Object.entries(changes).map(([name, change]) => `${name} would change: ${change.added} added, ${change.removed} removed, ${change.changed} changed, ${change.unchanged} unchanged`), 'dry run: nothing was changed'];
  const orphans = [['profiles without a recommendation', counts['profiles_without_recommendation']], ['subscribers with ARPU but no profile', counts['arpu_without_profile']]] as const;
  return [
    ...files, ...orphans.flatMap(([what, count]) => ((count ?? 0) > 0 ? [`${count} ${what}`] : [])),
    `live: generation ${pointer.redis} (recommendations ${pointer.recommendations}, profiles ${pointer.profiles}, ARPU ${pointer.arpu}) with ${counts['subscribers'] ?? 0} subscribers, ${bytes} bytes of Redis each, in ${seconds} s`,
    ...(removed.length > 0 ? [`removed: generation ${removed.join(', ')}`] : []),
    ...warnings.map((warning) => `warning: ${warning}`),
  ];
}

export async function rollBackSubscribers({ pool, redis, keys, erasureSecret }: Stores): Promise<string> {
  const { from, pointer, warnings } = await underLoadLock(pool, (client) => rollBack(client, redis, keys, erasureSecret));
  return [`live: generation ${pointer.redis} (recommendations ${pointer.recommendations}, profiles ${pointer.profiles}, ARPU ${pointer.arpu}), before: ${from}`, ...warnings.map((warning) => `warning: ${warning}`)].join('\n');
}

/** A table, newest first. */
export async function describeGenerations({ pool }: Stores): Promise<string> {
  const sets = (await listSets(pool)).filter(({ redis }) => redis > 0);
  if (sets.length === 0) return 'nothing was loaded yet';
  return renderTable<GenerationSet>([
    { head: 'generation', of: ({ redis }) => redis }, { head: 'state', of: ({ isLive, state }) => (isLive ? 'live' : state === 'building' ? 'unfinished' : 'kept') }, { head: 'made', of: ({ madeAt }) => madeAt },
    { head: 'recommendations', of: ({ recommendations }) => recommendations }, { head: 'profiles', of: ({ profiles }) => profiles }, { head: 'arpu', of: ({ arpu }) => arpu }, { head: 'subscribers', of: ({ counts }) => counts['subscribers'] ?? 0 },
  ], sets);
}

export async function verifySubscribers(stores: Stores, { keep, repair, progress }: { readonly keep: number; readonly repair: boolean; readonly progress: ShownProgress }): Promise<{ readonly lines: string[]; readonly isGood: boolean }> {
  const { problems, pointer, repaired } = await verifyGenerations({ ...stores, keep, repair, progress });
  progress.stop();
  if (problems.length === 0) return { lines: [`generation ${pointer.redis}: Redis is what Postgres says`], isGood: true };
  return { lines: [...problems, repaired ? `repaired: generation ${pointer.redis} is live` : 'run it with --repair to write it again'], isGood: repaired };
}

export interface GenerateOptions {
  readonly subscribers: number;
  readonly out: string;
  readonly seed: number;
  readonly lastMonth: string;
  readonly format?: 'csv' | 'parquet';
}

/** Writes sample files; the same options give the same bytes. */
export async function generateSubscribers({ subscribers: count, out, seed, lastMonth, format }: GenerateOptions, print: (line: string) => void): Promise<void> {
  if (!Number.isInteger(count) || count < 1 || count > 10_000_000) throw new UsageError('--subscribers must be a whole number from 1 to 10000000');
  if (!Number.isInteger(seed)) throw new UsageError('--seed must be a whole number');
  if (!/^20\d\d-(0[1-9]|1[0-2])$/.test(lastMonth)) throw new UsageError('--last-month must be a month such as 2026-10');
  const paths = await writeSampleFiles({ count, directory: out, seed, lastMonth, ...(format !== undefined && { formats: { recommendations: format, profiles: format, arpu: format } }) });
  for (const [dataset, path] of Object.entries(paths)) print(`${dataset}: ${path}`);
}

