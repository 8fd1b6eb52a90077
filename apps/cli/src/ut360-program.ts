import { text } from 'node:stream/consumers';
import { LoadNotPossibleError, LoadRefusedError, toNotPossible } from '@millrace/subscribers';
import type { Stores } from '@millrace/subscribers';
import { Option } from 'commander';
import type { Command } from 'commander';
import { describeErased, eraseIsdns, readIsdns } from './commands/erase-subscribers.ts';
import { describeGenerations, describeLoad, generateSubscribers, loadSubscribers, rollBackSubscribers, verifySubscribers } from './commands/ut360.ts';
import type { GenerateOptions, LoadCommandOptions } from './commands/ut360.ts';
import { describeLoads } from './commands/ut360-loads.ts';
import type { Config } from './config.ts';
import { FailedError } from './failed-error.ts';
import { createLoadProgress } from './load-progress.ts';
import { withSubscriberStores } from './subscriber-stores.ts';
import { UsageError } from './usage-error.ts';

export interface Ut360ProgramDeps {
  readonly config: Config;
  readonly print: (line: string) => void;
}

/** A sentence for each expected failure: what was given is wrong (2), or it cannot be done now (1). */
async function withStores<T>(config: Config, work: (stores: Stores) => Promise<T>, options?: { readonly needsRedis: boolean }): Promise<T> {
  try {
    return await withSubscriberStores(config, work, options);
  } catch (cause) {
    const error = toNotPossible(cause);
    if (error instanceof LoadRefusedError) throw new UsageError(error.message, { cause: error });
    if (error instanceof LoadNotPossibleError) throw new FailedError(error.message, { cause: error });
    throw error;
  }
}

function addLoad(ut360: Command, { config, print }: Ut360ProgramDeps): void {
  ut360
    .command('load')
    .description('load files of subscribers into a new generation and make it live; what is not named stays as it is')
    .option('--recommendations <file>', 'CSV (gzip too) or Parquet')
    .option('--profiles <file>', 'CSV (gzip too) or Parquet')
    .option('--arpu <file>', 'monthly ARPU: CSV (gzip too) or Parquet')
    .option('--mapping <file>', 'JSON: which header is which column, and what blanks are')
    .option('--max-bad <limit>', 'refuse a file with more bad rows: a share (1%) or a number (250)', '1%')
    .option('--encoding <label>', 'encoding of CSV files; default: by the byte order mark, else utf-8')
    .option('--delimiter <character>', 'of CSV files; default: by the header')
    .option('--dry-run', 'read and check everything, tell what would change, change nothing')
    .option('--alias-keys', 'also write the keys of readers that know of no generations (ut360:rec:<isdn>)')
    .option('--report <file>', 'write the report as JSON')
    .option('--json', 'print the report as JSON')
    .action(async (options: LoadCommandOptions & { json?: boolean }) => {
      const json = (report: unknown): void => print(JSON.stringify(report, undefined, 2));
      const deps = { keep: config.UT360_KEEP_GENERATIONS, progress: createLoadProgress(process.stderr), ...(options.json === true && { onFailed: json }) };
      const report = await withStores(config, (stores) => loadSubscribers(stores, options, deps));
      if (options.json === true) json(report);
      else describeLoad(report).forEach((line) => print(line));
    });
}

function addErase(ut360: Command, { config, print }: Ut360ProgramDeps): void {
  ut360
    .command('erase <isdn...>')
    .description('erase subscribers in every generation of both stores, for ever; - reads ISDNs from standard input, one a line')
    .option('--wait <seconds>', 'how long to wait for a running load, and for Redis', (value) => Number(value), 60)
    .option('--json', 'print the report as JSON')
    .action(async (given: string[], options: { wait: number; json?: boolean }) => {
      const isdns = await readIsdns(given, () => text(process.stdin));
      const report = await withStores(config, (stores) => eraseIsdns(stores, isdns, options.wait), { needsRedis: false });
      for (const line of options.json === true ? [JSON.stringify(report, undefined, 2)] : describeErased(report)) print(line);
      if (report.state === 'open') throw new FailedError('');
    });
}

/** `millrace ut360 …`: subscribers, directly on their database and their Redis. */
export function addUt360(program: Command, deps: Ut360ProgramDeps): void {
  const { config, print } = deps;
  const ut360 = program.command('ut360').description('subscribers: files, generations');
  addLoad(ut360, deps);
  addErase(ut360, deps);
  ut360.command('rollback').description('go back to the generation that was live before, in both stores').action(async () => print(await withStores(config, rollBackSubscribers)));
  ut360.command('generations').description('the generations that are there').action(async () => print(await withStores(config, describeGenerations)));
  ut360
    .command('loads')
    .description('the last loads: states, rows, bad rows, why they were refused')
    .option('--limit <n>', 'how many', (value) => Number(value), 10)
    .option('--json', 'print them as JSON')
    .action(async (options: { limit: number; json?: boolean }) => print(await withStores(config, (stores) => describeLoads(stores, options))));
  ut360
    .command('verify')
    .description('compare what Redis serves with Postgres')
    .option('--repair', 'write a generation that differs again, and make it live')
    .action(async (options: { repair?: boolean }) => {
      const { lines, isGood } = await withStores(config, (stores) => verifySubscribers(stores, { keep: config.UT360_KEEP_GENERATIONS, repair: options.repair === true, progress: createLoadProgress(process.stderr) }));
      lines.forEach((line) => print(line));
      if (!isGood) throw new FailedError('');
    });
  ut360
    .command('generate')
    .description('write sample files of subscribers, the same ones every time')
    .option('--subscribers <n>', 'how many', (value) => Number(value), 214_000)
    .option('--out <directory>', 'where to', 'ut360-sample')
    .option('--seed <n>', 'another number makes others', (value) => Number(value), 1)
    .option('--last-month <month>', 'newest month of ARPU', '2026-10')
    .addOption(new Option('--format <format>', 'default: recommendations as CSV, the others as Parquet').choices(['csv', 'parquet']))
    .action((options: GenerateOptions) => generateSubscribers(options, print));
}
