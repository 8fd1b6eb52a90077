import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { datasetNames } from './datasets.ts';
import type { DatasetName } from './datasets.ts';
import { LoadNotPossibleError } from './errors.ts';
import { hashFile } from './files/read-file.ts';
import type { SourceFile } from './files/reading.ts';
import type { FileMappings } from './mapping.ts';
import { readingOf } from './load/load-dataset.ts';
import { schema } from './load/tables.ts';

/** What the files of a drop folder are called; the other format (.csv, .csv.gz, .parquet) counts as well. */
export const defaultDropNames: Readonly<Record<DatasetName, string>> = {
  recommendations: 'recommendations_final_filtered.csv',
  profiles: 'subscriber_360_profile.parquet',
  arpu: 'subscriber_monthly_summary.parquet',
};

export interface DropOptions extends Pick<SourceFile, 'encoding' | 'delimiter'> {
  readonly directory: string;
  readonly names?: Readonly<Record<DatasetName, string>>;
  /** A file that is younger is looked at once more after this time: one that changed meanwhile is still being written. Milliseconds. */
  readonly settleMs: number;
  readonly mappings?: FileMappings;
  readonly signal?: AbortSignal;
}

export interface SkippedFile {
  readonly dataset: DatasetName;
  readonly file: string;
  readonly reason: string;
}

export interface DropPlan {
  /** What is to be loaded: for `loadFiles`. */
  readonly files: Readonly<Partial<Record<DatasetName, SourceFile>>>;
  readonly skipped: readonly SkippedFile[];
  /** Some file is still being written: looking again later brings more. */
  readonly isUnsettled: boolean;
  /** Throws LoadNotPossibleError where one of the files is not what it was. */
  checkUnchanged(): Promise<void>;
}

interface Seen {
  readonly dataset: DatasetName;
  readonly file: string;
  readonly bytes: number;
  readonly modifiedMs: number;
  readonly inode: number;
  /** Name of the file beside it that says that another one is on its way. */
  readonly companion: string | undefined;
}

/** What programs that copy files add to the name until a file is whole (curl, WinSCP, browsers); rsync: `.name.XXXXXX`. */
const UNFINISHED = ['.tmp', '.part', '.partial', '.filepart', '.crdownload'];

function companionOf(file: string, entries: ReadonlySet<string>): string | undefined {
  const beside = UNFINISHED.map((suffix) => `${file}${suffix}`).find((name) => entries.has(name));
  return beside ?? [...entries].find((name) => name.startsWith(`.${file}.`) && /^\w{6}$/.test(name.slice(file.length + 2)));
}

/** `name` itself first. */
function candidatesOf(name: string): string[] {
  const base = name.replace(/\.gz$/, '').replace(/\.(csv|parquet)$/, '');
  return [...new Set([name, `${base}.csv`, `${base}.csv.gz`, `${base}.parquet`])];
}

async function lookAt(directory: string, dataset: DatasetName, file: string, entries: ReadonlySet<string>): Promise<Seen | undefined> {
  const companion = companionOf(file, entries);
  const found = entries.has(file) ? await stat(join(directory, file)).catch(() => undefined) : undefined;
  if (found?.isFile() !== true) return companion === undefined ? undefined : { dataset, file, companion, bytes: -1, modifiedMs: 0, inode: 0 };
  return { dataset, file, companion, bytes: found.size, modifiedMs: found.mtimeMs, inode: found.ino };
}

async function look({ directory, names = defaultDropNames }: DropOptions): Promise<Seen[]> {
  const entries = new Set(await readdir(directory).catch((error: unknown) => {
    throw new LoadNotPossibleError(`the drop folder ${directory} cannot be read`, { cause: error });
  }));
  const seen = await Promise.all(datasetNames.flatMap((dataset) => candidatesOf(names[dataset]).map((file) => lookAt(directory, dataset, file, entries))));
  return seen.filter((one) => one !== undefined);
}

const isSame = (one: Seen, other: Seen | undefined): boolean => one.bytes === other?.bytes && one.modifiedMs === other.modifiedMs && one.inode === other.inode;

/** All candidates, and those of them that changed between two looks. */
async function lookTwice(options: DropOptions): Promise<{ readonly seen: readonly Seen[]; readonly changing: ReadonlySet<string> }> {
  const first = await look(options);
  const settledMs = Date.now() - options.settleMs;
  if (first.every(({ modifiedMs }) => modifiedMs <= settledMs)) return { seen: first, changing: new Set() };
  await pause(options.settleMs, undefined, { signal: options.signal });
  const seen = await look(options);
  return { seen, changing: new Set(seen.filter((one) => !isSame(one, first.find(({ file }) => file === one.file))).map(({ file }) => file)) };
}

export interface LoadedFile {
  readonly dataset: DatasetName;
  readonly sha256: string;
  readonly mapping: string;
}

/** Is this what the dataset was last loaded from, or what is live? A file that was rolled back from was loaded, too. */
async function wasLoaded(db: Pick<Pool | PoolClient, 'query'>, { dataset, sha256, mapping }: LoadedFile): Promise<boolean> {
  const { rowCount } = await db.query(
    `select 1 from ${schema}.dataset_generations d where d.dataset = $1 and d.file_sha256 = $2 and d.mapping = $3 and (
       d.number = (select p.${dataset} from ${schema}.pointer p) or d.number = (
         select (one->>'generation')::int from ${schema}.loads l cross join lateral jsonb_array_elements(l.report->'datasets') one
         where l.state = 'done' and l.report->>'dry_run' = 'false' and one->>'dataset' = $1 order by l.id desc limit 1)) limit 1`,
    [dataset, sha256, mapping],
  );
  return (rowCount ?? 0) > 0;
}

interface Choice {
  readonly chosen: Seen[];
  readonly skipped: SkippedFile[];
  isUnsettled: boolean;
}

/** The newest file of a dataset, unless one is on its way. */
function choose({ chosen, skipped }: Choice, candidates: readonly Seen[], changing: ReadonlySet<string>): boolean {
  const busy = candidates.find(({ file, companion }) => companion !== undefined || changing.has(file));
  if (busy !== undefined) {
    skipped.push({ dataset: busy.dataset, file: busy.file, reason: busy.companion === undefined ? 'is still being written: it changed while it was looked at' : `is still being written: ${busy.companion} is beside it` });
    return false;
  }
  const [newest, ...older] = candidates.toSorted((one, other) => other.modifiedMs - one.modifiedMs);
  if (newest !== undefined) chosen.push(newest);
  skipped.push(...older.map(({ dataset, file }) => ({ dataset, file, reason: `${newest?.file ?? ''} is newer` })));
  return true;
}

/**
 * Looks for files of subscribers in a folder, and says which of them are to be loaded: those that are whole and were not loaded already
 * (by SHA-256 and mapping). Nothing in the folder is moved or changed. Throws LoadNotPossibleError where the folder cannot be read.
 */
export async function planDrop(db: Pick<Pool | PoolClient, 'query'>, options: DropOptions): Promise<DropPlan> {
  const { seen, changing } = await lookTwice(options);
  const choice: Choice = { chosen: [], skipped: [], isUnsettled: false };
  for (const dataset of datasetNames) {
    if (!choose(choice, seen.filter((one) => one.dataset === dataset), changing)) choice.isUnsettled = true;
  }
  const files: Partial<Record<DatasetName, SourceFile>> = {};
  const wanted: Seen[] = [];
  for (const one of choice.chosen) {
    const source: SourceFile = { path: join(options.directory, one.file), encoding: options.encoding, delimiter: options.delimiter };
    const mapping = readingOf(source, options.mappings?.[one.dataset] ?? {});
    if (await wasLoaded(db, { dataset: one.dataset, sha256: await hashFile(source.path), mapping })) choice.skipped.push({ dataset: one.dataset, file: one.file, reason: 'was loaded already' });
    else {
      files[one.dataset] = source;
      wanted.push(one);
    }
  }
  return {
    files, skipped: choice.skipped, isUnsettled: choice.isUnsettled,
    async checkUnchanged() {
      for (const one of wanted) {
        const now = await lookAt(options.directory, one.dataset, one.file, new Set([one.file]));
        if (!isSame(one, now)) throw new LoadNotPossibleError(`${one.file} changed while it was loaded`);
      }
    },
  };
}
