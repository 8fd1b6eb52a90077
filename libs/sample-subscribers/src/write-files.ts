import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { ParquetWriter, fileWriter, schemaFromColumnData } from 'hyparquet-writer';
import type { BasicType } from 'hyparquet-writer';
import { sampleSubscribers } from './subscribers.ts';
import type { SampleOptions, SampleSubscriber } from './subscribers.ts';

export type SampleFormat = 'csv' | 'parquet';
export type SampleDataset = 'recommendations' | 'profiles' | 'arpu';
type Row = Readonly<Record<string, string | number | null>>;

/** The names under which the nightly load looks for them. */
const NAMES: Readonly<Record<SampleDataset, string>> = { recommendations: 'recommendations_final_filtered', profiles: 'subscriber_360_profile', arpu: 'subscriber_monthly_summary' };

const rowsOf: Readonly<Record<SampleDataset, (subscriber: SampleSubscriber) => readonly Row[]>> = {
  recommendations: ({ isdn, recommendation }) => [{ isdn, ...recommendation }],
  profiles: ({ isdn, profile }) => [{ isdn, ...profile }],
  arpu: ({ isdn, months }) => months.map((month) => ({ isdn, ...month })),
};

interface RowFile {
  add(row: Row): void;
  /** Between the subscribers: where the file is behind, it is waited for. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

const cell = (value: string | number | null | undefined): string => {
  const text = String(value ?? '');
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

function openCsv(path: string): RowFile {
  const file = createWriteStream(path);
  let lines: string[] = [];
  let columns: readonly string[] | undefined;
  const flush = async (): Promise<void> => {
    const text = lines.join('');
    lines = [];
    if (text !== '' && !file.write(text)) await once(file, 'drain');
  };
  return {
    add(row) {
      if (columns === undefined) {
        columns = Object.keys(row);
        lines.push(`${columns.join(',')}\n`);
      }
      lines.push(`${columns.map((column) => cell(row[column])).join(',')}\n`);
    },
    settle: async () => (lines.length >= 2_000 ? await flush() : undefined),
    async close() {
      await flush();
      file.end();
      await finished(file);
    },
  };
}

const ROW_GROUP = 100_000;
const COUNTS = new Set(['topup_count']);
const typeOf = (column: string, value: string | number | null): BasicType => (typeof value === 'string' ? 'STRING' : COUNTS.has(column) ? 'INT32' : 'DOUBLE');
/** Where the first row has no value. */
const TEXTS = new Set(['topup_last_date']);

/** Row groups of 100,000 rows, Snappy, as the usual writers make them. */
function openParquet(path: string): RowFile {
  let columns: { readonly name: string; readonly type: BasicType; data: (string | number | null)[] }[] | undefined;
  let writer: ParquetWriter | undefined;
  const flush = (): void => {
    if (columns === undefined) return;
    writer ??= new ParquetWriter({ writer: fileWriter(path), schema: schemaFromColumnData({ columnData: columns }) });
    // The types stand in the schema already.
    void writer.write({ columnData: columns.map(({ name, data }) => ({ name, data })), rowGroupSize: ROW_GROUP });
    columns = columns.map(({ name, type }) => ({ name, type, data: [] }));
  };
  return {
    add(row) {
      columns ??= Object.entries(row).map(([name, value]) => ({ name, type: TEXTS.has(name) ? 'STRING' : typeOf(name, value ?? 0), data: [] }));
      for (const column of columns) column.data.push(row[column.name] ?? null);
    },
    settle: async () => {
      if ((columns?.[0]?.data.length ?? 0) >= ROW_GROUP) flush();
    },
    async close() {
      if ((columns?.[0]?.data.length ?? 0) > 0) flush();
      await writer?.finish();
    },
  };
}

export interface WriteSampleOptions extends SampleOptions {
  /** Made where it is not there. */
  readonly directory: string;
  /** Default: recommendations as CSV, the others as Parquet, as the nightly load expects them. */
  readonly formats?: Readonly<Partial<Record<SampleDataset, SampleFormat>>>;
  readonly onProgress?: (subscribers: number) => void;
}

/** Writes the three files of a load. The same options give the same bytes. Returns their paths. */
export async function writeSampleFiles({ directory, formats, onProgress, ...sample }: WriteSampleOptions): Promise<Record<SampleDataset, string>> {
  await mkdir(directory, { recursive: true });
  const chosen = { recommendations: 'csv', profiles: 'parquet', arpu: 'parquet', ...formats } as const;
  const path = (name: SampleDataset): string => join(directory, `${NAMES[name]}.${chosen[name]}`);
  const paths = { recommendations: path('recommendations'), profiles: path('profiles'), arpu: path('arpu') };
  const files = (['recommendations', 'profiles', 'arpu'] as const).map((name) => ({ rows: rowsOf[name], file: chosen[name] === 'csv' ? openCsv(paths[name]) : openParquet(paths[name]) }));
  let done = 0;
  for (const subscriber of sampleSubscribers(sample)) {
    for (const { rows, file } of files) for (const row of rows(subscriber)) file.add(row);
    done += 1;
    if (done % 1_000 !== 0) continue;
    for (const { file } of files) await file.settle();
    onProgress?.(done);
  }
  for (const { file } of files) await file.close();
  onProgress?.(done);
  return paths;
}
