import { text } from 'node:stream/consumers';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { GenerateOptions, LoadCommandOptions } from './commands/ut360.ts';
import type { Config } from './config.ts';
import { FailedError } from './failed-error.ts';
import { createLoadProgress } from './load-progress.ts';

export interface Ut360ProgramDeps {
  readonly config: Config;
  readonly print: (line: string) => void;
}

/** Loaded with the command: they bring Postgres and Redis along. */
const actions = () => import('./ut360-actions.ts');

function addLoad(ut360: Command, { config, print }: Ut360ProgramDeps): void {
  ut360
    .command('load')
    .description('load files of subscribers into a new generation and make it live; what is not named stays as it is')
    .option('--recommendations <file>', 'CSV (gzip too) or Parquet')
    .option('--profiles <file>', 'CSV (gzip too) or Parquet')
    .option('--arpu <file>', 'monthly ARPU: CSV (gzip too) or Parquet')
    .option('--drop-dir <folder>', 'whatever is new in a folder, found as the schedule finds it')
    .option('--mapping <file>', 'JSON: which header is which column, and what blanks are')
    .option('--max-bad <limit>', 'refuse a file with more bad rows: a share (1%) or a number (250)', '1%')
    .option('--encoding <label>', 'encoding of CSV files; default: by the byte order mark, else utf-8')
    .option('--delimiter <character>', 'of CSV files; default: by the header')
    .option('--dry-run', 'read and check everything, tell what would change, change nothing')
    .option('--alias-keys', 'also write the keys of readers that know of no generations (ut360:rec:<isdn>)')
    .option('--report <file>', 'write the report as JSON')
    .option('--json', 'print the report as JSON')
    .action(async (options: LoadCommandOptions & { json?: boolean }) => {
      const { describeLoad, dropNames, loadSubscribers, withStores } = await actions();
      const json = (report: unknown): void => print(JSON.stringify(report ?? null, undefined, 2));
      const context = {
        keep: config.UT360_KEEP_GENERATIONS, progress: createLoadProgress(process.stderr), names: dropNames(config),
        note: (line: string) => void process.stderr.write(`${line}\n`), ...(options.json === true && { onFailed: json }),
      };
      const report = await withStores(config, (stores) => loadSubscribers(stores, options, context));
      if (options.json === true) json(report);
      else if (report !== undefined) describeLoad(report).forEach((line) => print(line));
    });
}

function addErase(ut360: Command, { config, print }: Ut360ProgramDeps): void {
  ut360
    .command('erase <isdn...>')
    .description('erase subscribers in every generation of both stores, for ever; - reads ISDNs from standard input, one a line')
    .option('--wait <seconds>', 'how long to wait for a running load, and for Redis', (value) => Number(value), 60)
    .option('--json', 'print the report as JSON')
    .action(async (given: string[], options: { wait: number; json?: boolean }) => {
      const { describeErased, eraseIsdns, readIsdns, withStores } = await actions();
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
  ut360.command('rollback').description('go back to the generation that was live before, in both stores').action(async () => {
    const { rollBackSubscribers, withStores } = await actions();
    print(await withStores(config, rollBackSubscribers));
  });
  ut360.command('generations').description('the generations that are there').action(async () => {
    const { describeGenerations, withStores } = await actions();
    print(await withStores(config, describeGenerations));
  });
  ut360
    .command('loads')
    .description('the last loads: states, rows, bad rows, why they were refused')
    .option('--limit <n>', 'how many', (value) => Number(value), 10)
    .option('--json', 'print them as JSON')
    .action(async (options: { limit: number; json?: boolean }) => {
      const { describeLoads, withStores } = await actions();
      print(await withStores(config, (stores) => describeLoads(stores, options)));
    });
  ut360
    .command('verify')
    .description('compare what Redis serves with Postgres')
    .option('--repair', 'write a generation that differs again, and make it live')
    .action(async (options: { repair?: boolean }) => {
      const { verifySubscribers, withStores } = await actions();
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
    .action(async (options: GenerateOptions) => (await actions()).generateSubscribers(options, print));
}
