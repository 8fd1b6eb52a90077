import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { parse as parseCsv } from 'csv-parse';
import { UsageError } from '../usage-error.ts';
import { parquetRows } from './parquet-rows.ts';

export type FileFormat = 'ndjson' | 'csv' | 'parquet';

/** One record of the file, or what is wrong with it. `line` counts from 1; in Parquet it is the row. */
export type FileRow =
  | { readonly line: number; readonly record: Readonly<Record<string, unknown>>; readonly content: string }
  | { readonly line: number; readonly problem: string };

export interface ReadOptions {
  readonly format: FileFormat;
  readonly delimiter: string;
  /** WHATWG label, of CSV; NDJSON is UTF-8. */
  readonly encoding: string;
  /** Of how much of the file, in bytes (Parquet: rows). */
  readonly onProgress: (done: number, total: number) => void;
}

/** Longest line: bounds the memory of a file of any size. */
const MAX_LINE_BYTES = 1_048_576;
const decoder = new TextDecoder('utf-8', { fatal: true });

/** By the name. */
export function formatOf(file: string): FileFormat | undefined {
  const [, ending] = /\.(ndjson|jsonl|csv|tsv|parquet)(?:\.gz)?$/i.exec(file) ?? [];
  if (ending === undefined) return undefined;
  const lower = ending.toLowerCase();
  return lower === 'parquet' ? 'parquet' : lower === 'csv' || lower === 'tsv' ? 'csv' : 'ndjson';
}

async function isPacked(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
  } finally {
    await handle.close();
  }
}

async function* counted(file: string, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of createReadStream(file)) {
    if (!Buffer.isBuffer(chunk)) continue;
    onBytes(chunk.length);
    yield chunk;
  }
}

/** The file's bytes, unpacked where they begin as gzip does. Throws where it is damaged or cut off. */
async function* chunksOf(file: string, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  if (!(await isPacked(file))) {
    yield* counted(file, onBytes);
    return;
  }
  const gunzip = createGunzip();
  // A failure of either end is the other's, too: the loop below throws it.
  const pumping = pipeline(counted(file, onBytes), gunzip).catch(() => undefined);
  try {
    for await (const chunk of gunzip) if (Buffer.isBuffer(chunk)) yield chunk;
  } finally {
    gunzip.destroy();
    await pumping;
  }
}

/** Lines without their end; undefined: longer than 1 MiB. */
async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer | undefined> {
  let rest: Buffer[] = [];
  let bytes = 0;
  const take = (end: Buffer): Buffer | undefined => {
    const line = bytes + end.length > MAX_LINE_BYTES ? undefined : Buffer.concat([...rest, end]);
    rest = [];
    bytes = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      yield take(chunk.subarray(start, end));
      start = end + 1;
    }
    bytes += chunk.length - start;
    if (bytes > MAX_LINE_BYTES) rest = [];
    else rest.push(chunk.subarray(start));
  }
  if (bytes > 0) yield take(Buffer.alloc(0));
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function parseLine(line: number, bytes: Buffer): FileRow | undefined {
  let content: string;
  try {
    content = decoder.decode(bytes).trim();
  } catch {
    return { line, problem: 'is not UTF-8' };
  }
  if (content === '') return undefined;
  try {
    const record: unknown = JSON.parse(content);
    return isRecord(record) ? { line, record, content } : { line, problem: 'is not a JSON object' };
  } catch {
    return { line, problem: 'is not valid JSON' };
  }
}

async function* ndjsonRows(chunks: AsyncIterable<Buffer>): AsyncGenerator<FileRow> {
  let line = 0;
  for await (const bytes of linesOf(chunks)) {
    line += 1;
    const row = bytes === undefined ? { line, problem: `is longer than ${MAX_LINE_BYTES} bytes` } : parseLine(line, bytes);
    if (row) yield row;
  }
}

interface CsvRecord { readonly record: readonly string[]; readonly info: { readonly lines: number } }

async function* decoded(chunks: AsyncIterable<Buffer>, encoding: string): AsyncGenerator<string> {
  const text = new TextDecoder(encoding);
  for await (const chunk of chunks) yield text.decode(chunk, { stream: true });
  yield text.decode();
}

/** What a decoder makes of bytes that are not of its encoding (WHATWG Encoding). */
const REPLACEMENT = '\u{FFFD}';

function checkHeader(header: readonly string[]): readonly string[] {
  const twice = header.find((name, index) => header.indexOf(name) !== index);
  if (twice !== undefined) throw new UsageError(`the header names the column ${twice.slice(0, 100)} twice`);
  return header;
}

function toCsvRow(header: readonly string[], { record, info: { lines: line } }: CsvRecord): FileRow {
  if (record.length !== header.length) return { line, problem: `has ${record.length} fields where the header has ${header.length}` };
  if (record.some((field) => field.includes(REPLACEMENT))) return { line, problem: 'has bytes that are not of the encoding of the file: name it, such as --encoding windows-1252' };
  return { line, record: Object.fromEntries(header.map((name, index) => [name, record[index] ?? ''])), content: JSON.stringify(record) };
}

/** Bad rows without a good one between them; they wait in memory for it. More, and the file is something else. */
const MAX_BROKEN = 10_000;

async function* csvRows(text: AsyncIterable<string>, delimiter: string): AsyncGenerator<FileRow> {
  const broken: FileRow[] = [];
  const parser = parseCsv({
    delimiter, info: true, relax_column_count: true, skip_empty_lines: true, skip_records_with_error: true, max_record_size: MAX_LINE_BYTES, trim: true,
    on_skip: (error) => {
      const count = broken.push({ line: Number(error?.['lines'] ?? 0), problem: `is not valid CSV: ${error?.message.slice(0, 200) ?? ''}` });
      if (count > MAX_BROKEN) parser.destroy(new UsageError(`${MAX_BROKEN} rows one after the other are not valid CSV: look at --delimiter and --format`));
    },
  });
  const pumping = pipeline(text, parser).catch((error: unknown) => error);
  let header: readonly string[] | undefined;
  const rows: AsyncIterable<CsvRecord> = parser;
  for await (const row of rows) {
    yield* broken.splice(0);
    if (header === undefined) header = checkHeader(row.record);
    else yield toCsvRow(header, row);
  }
  yield* broken.splice(0);
  const failure = await pumping;
  if (failure !== undefined) throw failure;
}

/** The file's rows, one at a time. @throws UsageError where there is no such file; another error where it breaks off */
export async function* fileRows(file: string, { format, delimiter, encoding, onProgress }: ReadOptions): AsyncGenerator<FileRow> {
  const info = await stat(file).catch(() => undefined);
  if (!info?.isFile()) throw new UsageError(`${file} is not a file that can be read`);
  if (format === 'parquet') {
    yield* parquetRows(file, onProgress);
    return;
  }
  let done = 0;
  const chunks = chunksOf(file, (bytes) => onProgress((done += bytes), info.size));
  yield* format === 'csv' ? csvRows(decoded(chunks, encoding), delimiter) : ndjsonRows(chunks);
}
