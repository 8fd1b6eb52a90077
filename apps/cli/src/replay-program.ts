import type { Command } from 'commander';
import { Option } from 'commander';
import { FailedError } from './failed-error.ts';
import { createProgress } from './progress.ts';
import { formatOf } from './replay/file-rows.ts';
import type { FileFormat } from './replay/file-rows.ts';
import { importNamedProducts } from './replay/import-products.ts';
import { layoutNames, parseMapping } from './replay/layouts.ts';
import type { LayoutName } from './replay/layouts.ts';
import { checkOnly, replayEvents } from './replay/replay-events.ts';
import type { ReplaySummary } from './replay/replay-events.ts';
import { createSender } from './replay/send-events.ts';
import type { StreamsProgramDeps } from './streams-program.ts';
import { UsageError } from './usage-error.ts';

interface Options {
  readonly speed: string;
  readonly limit?: string;
  readonly map: readonly string[];
  readonly layout?: LayoutName;
  readonly format?: FileFormat;
  readonly delimiter?: string;
  readonly batch: string;
  readonly maxErrors: string;
  readonly dryRun?: boolean;
  readonly shiftToNow?: boolean;
  readonly products?: boolean;
}

/** The gateway itself gives up after 60 s. */
const LONG_MS = 65_000;
const MOST_A_REQUEST = 10_000;

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) throw new UsageError(`--${name} must be a whole number from ${least} to ${most}`);
  return value;
}

function speedOf(text: string): number {
  if (text === 'max') return Infinity;
  const speed = Number(text);
  if (!(speed > 0) || speed > 1_000_000_000 || text.trim() === '') throw new UsageError('--speed must be max, or a number above 0: 1 is as it happened, 60 is a minute a second');
  return speed;
}

function checkedOptions(file: string, options: Options) {
  const format = options.format ?? formatOf(file);
  if (format === undefined) throw new UsageError('say --format ndjson, csv or parquet: the file name does not tell');
  if (options.delimiter !== undefined && options.delimiter.length !== 1) throw new UsageError('--delimiter must be one character');
  if (options.map.length > 0 && options.layout !== undefined && options.layout !== 'events') throw new UsageError(`--map is for the layout events, not for ${options.layout}`);
  return {
    format, delimiter: options.delimiter ?? (/\.tsv(\.gz)?$/i.test(file) ? '\t' : ','), layout: options.layout, mappings: options.map.map(parseMapping), isTable: format !== 'ndjson',
    speed: options.dryRun === true ? Infinity : speedOf(options.speed), batch: wholeNumber('batch', options.batch, 1, MOST_A_REQUEST),
    limit: options.limit === undefined ? Infinity : wholeNumber('limit', options.limit, 1, Number.MAX_SAFE_INTEGER), shiftToNow: options.shiftToNow === true,
  };
}

/** One line for people. */
export function describeSummary({ rows, sent, accepted, live, failed, skipped, isAborted }: ReplaySummary, seconds: number, isDryRun: boolean): string {
  const left = [...skipped].map(([why, count]) => `${count} ${why}`).join(', ');
  const counts = isDryRun ? `${rows} rows: ${accepted} events would be sent` : `${rows} rows: ${sent} sent, ${accepted} accepted (${live} live)`;
  return `${isDryRun ? 'dry run: ' : ''}${isAborted ? 'interrupted: ' : ''}${counts}, ${failed} failed${left === '' ? '' : `, skipped ${left}`} in ${seconds.toFixed(1)} s`
    + (isDryRun || seconds === 0 ? '' : ` (${Math.round(sent / seconds)} events/s)`);
}

/** The first interruption ends after the request in hand; the second one is Node's. */
async function withInterrupt<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    return await work(stopping.signal);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

async function replay(file: string, options: Options, { connect, print, printError }: StreamsProgramDeps): Promise<void> {
  const checked = checkedOptions(file, options);
  const maxErrors = wholeNumber('max-errors', options.maxErrors, 0, 1_000_000);
  const isDryRun = options.dryRun === true;
  const client = isDryRun ? undefined : await connect(LONG_MS);
  if (client && options.products === true) {
    const { created, known, failed } = await withInterrupt((signal) => importNamedProducts(client, file, checked, signal));
    print(`products: ${created} created, ${known} there already, ${failed} failed`);
  }
  const progress = createProgress(process.stderr);
  const started = performance.now();
  let problems = 0;
  const summary = await withInterrupt((signal) => replayEvents(file, checked, {
    signal, send: client ? createSender({ client, signal, say: printError }) : checkOnly,
    onProblem: (line, problem) => { if ((problems += 1) <= maxErrors) printError(`line ${line}: ${problem}`); },
    onProgress: (done, total, events) => {
      progress.bytes(done, total);
      progress.rows(events);
    },
  }));
  progress.stop();
  if (problems > maxErrors) printError(`and ${problems - maxErrors} more bad events`);
  if (summary.failure instanceof UsageError) throw summary.failure;
  print(describeSummary(summary, (performance.now() - started) / 1_000, isDryRun));
  if (summary.failure !== undefined) throw summary.failure;
  if (summary.failed > 0 || summary.isAborted) throw new FailedError('');
}

const collect = (value: string, previous: readonly string[]): readonly string[] => [...previous, value];

export function addReplay(program: Command, deps: StreamsProgramDeps): void {
  program
    .command('replay <file>')
    .description('send the events of a file (NDJSON, CSV, gzip too, Parquet) through POST /api/events')
    .option('--speed <n|max>', '1: as fast as it happened, 60: a minute a second', 'max')
    .option('--limit <n>', 'at most so many events')
    .option('--dry-run', 'only read and check; sends nothing')
    .option('--shift-to-now', 'move all times, so that the newest event is now')
    .option('--products', 'first import the products that the file names and the catalogue does not have (online-retail)')
    .option('--map <field=column>', 'take a field from a column, or from a text (field==text), repeatable: --map user_id=customer --map event_type==purchase', collect, [])
    .addOption(new Option('--layout <layout>', 'default: by the first row').choices(layoutNames))
    .addOption(new Option('--format <format>', 'default: by the file name').choices(['ndjson', 'csv', 'parquet']))
    .option('--delimiter <character>', 'CSV delimiter')
    .option('--batch <n>', 'events of one request', '1000')
    .option('--max-errors <n>', 'bad events to print', '20')
    .action((file: string, options: Options) => replay(file, options, deps));
}
