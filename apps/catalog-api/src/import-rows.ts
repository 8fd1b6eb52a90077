import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { AppError } from '@millrace/service';
import { parse as parseCsv } from 'csv-parse';

/** One record of the file and its size in characters, or what is wrong with it. Lines count from 1. */
export type ImportRow =
  | { readonly line: number; readonly record: Readonly<Record<string, unknown>>; readonly characters: number }
  | { readonly line: number; readonly problem: { readonly code: string; readonly detail: string } };

export interface ImportFormat {
  readonly format: 'ndjson' | 'csv';
  /** WHATWG label; undefined: by the byte order mark, else UTF-8. */
  readonly encoding?: string;
  readonly delimiter?: string;
}

/** Longest line (and CSV record): bounds the memory of an import of any size. */
export const MAX_LINE_CHARACTERS = 1_048_576;
const MAX_COLUMNS = 1_000;
/** Of packed data; gzip unpacks to at most about 1,000 times as much. */
const PIECE_BYTES = 4_096;
const GZIP_MAGIC = [0x1f, 0x8b];

function decoderFor(encoding: string | undefined, head: Buffer): InstanceType<typeof TextDecoder> {
  const marked = head[0] === 0xff && head[1] === 0xfe ? 'utf-16le' : head[0] === 0xfe && head[1] === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(encoding ?? marked);
  } catch (error) {
    throw new AppError('invalid_request', `the encoding ${encoding ?? ''} is not known`, { cause: error, details: [{ in: 'query', pointer: '/encoding', detail: 'must be a WHATWG encoding label, such as utf-8 or windows-1258' }] });
  }
}

/** Unpacked where the data begin as gzip does, whatever the headers say. A truncated file yields all that came before, then throws. */
async function* unpacked(input: Readable): AsyncGenerator<Buffer> {
  const chunks = chunksOf(input);
  const first = await chunks.next();
  if (first.done === true) return;
  const all = async function* (): AsyncGenerator<Buffer> {
    yield first.value;
    yield* chunks;
  };
  if (first.value[0] === GZIP_MAGIC[0] && first.value[1] === GZIP_MAGIC[1]) yield* gunzipped(all());
  else yield* all();
}

/** Piece by piece, so that memory is bounded by what one piece unpacks to, and nothing of it is lost when the next one is damaged. */
async function* gunzipped(packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  const ready: Buffer[] = [];
  const take = (): Buffer[] => ready.splice(0);
  const failure = new Promise<never>((_resolve, reject) => void gunzip.once('error', reject));
  failure.catch(() => undefined);
  gunzip.on('data', (chunk: Buffer) => void ready.push(chunk));
  try {
    for await (const chunk of packed) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        await Promise.race([new Promise<void>((resolve) => void gunzip.write(chunk.subarray(at, at + PIECE_BYTES), () => resolve())), failure]);
        yield* take();
      }
    }
    const ended = once(gunzip, 'end');
    gunzip.end();
    await Promise.race([ended, failure]);
    yield* take();
  } catch (error) {
    yield* take();
    throw error;
  } finally {
    gunzip.destroy();
  }
}

const toBuffer = (chunk: unknown): Buffer => (Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk)));

/** The upload itself broke off: the caller's file or connection, nothing of ours. */
export class BrokenUploadError extends Error {
  override readonly name = 'BrokenUploadError';
}

async function* chunksOf(input: Readable): AsyncGenerator<Buffer> {
  try {
    // A reader that stops early leaves the request as it is: it still has to be answered.
    for await (const chunk of input.iterator({ destroyOnReturn: false })) yield toBuffer(chunk);
  } catch (error) {
    throw new BrokenUploadError('the connection broke off', { cause: error });
  }
}

async function* decoded(input: Readable, encoding: string | undefined, onBytes: (bytes: number) => void): AsyncGenerator<string> {
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  for await (const chunk of unpacked(input)) {
    decoder ??= decoderFor(encoding, chunk);
    onBytes(chunk.length);
    yield decoder.decode(chunk, { stream: true });
  }
  if (decoder) yield decoder.decode();
}

async function* linesOf(text: AsyncIterable<string>): AsyncGenerator<{ line: number; text: string | undefined }> {
  let rest: string[] = [];
  let restCharacters = 0;
  let line = 0;
  let skipping = false;
  const take = (end: string): { line: number; text: string | undefined } => {
    line += 1;
    const whole = skipping || restCharacters + end.length > MAX_LINE_CHARACTERS ? undefined : rest.join('') + end;
    rest = [];
    restCharacters = 0;
    skipping = false;
    return { line, text: whole };
  };
  for await (const piece of text) {
    const parts = piece.split('\n');
    const open = parts.pop() ?? '';
    for (const part of parts) yield take(part);
    restCharacters += open.length;
    if (restCharacters > MAX_LINE_CHARACTERS) {
      rest = [];
      skipping = true;
    } else rest.push(open);
  }
  if (restCharacters > 0 || skipping) yield take('');
}

/** What a decoder makes of bytes that are not of its encoding (WHATWG Encoding). */
const REPLACEMENT = '\u{FFFD}';
const notDecoded = { code: 'malformed_row', detail: 'has bytes that are not of the encoding of the file: name it (encoding=windows-1258)' };

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function parseLine(line: number, text: string): ImportRow {
  if (text.includes(REPLACEMENT)) return { line, problem: notDecoded };
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? { line, record: value, characters: text.length } : { line, problem: { code: 'malformed_row', detail: 'is not a JSON object' } };
  } catch {
    return { line, problem: { code: 'malformed_row', detail: 'is not valid JSON' } };
  }
}

async function* ndjsonRows(text: AsyncIterable<string>): AsyncGenerator<ImportRow> {
  for await (const { line, text: content } of linesOf(text)) {
    if (content === undefined) yield { line, problem: { code: 'row_too_large', detail: `is longer than ${MAX_LINE_CHARACTERS} characters` } };
    else if (content.trim() !== '') yield parseLine(line, content);
  }
}

interface CsvRecord { readonly record: readonly string[]; readonly info: { readonly lines: number } }

async function* csvRows(text: AsyncIterable<string>, delimiter: string): AsyncGenerator<ImportRow> {
  const broken: ImportRow[] = [];
  const parser = parseCsv({
    delimiter, info: true, relax_column_count: true, skip_empty_lines: true, skip_records_with_error: true, max_record_size: MAX_LINE_CHARACTERS, trim: true,
    on_skip: (error) => void broken.push({ line: Number(error?.['lines'] ?? 0), problem: { code: 'malformed_row', detail: `is not valid CSV: ${error?.message.slice(0, 200) ?? ''}` } }),
  });
  const pumping = pipeline(text, parser).catch((error: unknown) => error);
  let header: readonly string[] | undefined;
  const rows: AsyncIterable<CsvRecord> = parser;
  for await (const { record, info } of rows) {
    yield* broken.splice(0);
    if (header === undefined) header = checkHeader(record);
    else yield toCsvRow(header, record, info.lines);
  }
  yield* broken.splice(0);
  const failure = await pumping;
  if (failure !== undefined) throw failure;
}

function checkHeader(header: readonly string[]): readonly string[] {
  if (header.length > MAX_COLUMNS) throw new AppError('invalid_request', `the CSV header has ${header.length} columns, more than ${MAX_COLUMNS}`);
  const names = new Set<string>();
  const duplicate = header.find((name) => names.size === names.add(name).size);
  if (duplicate !== undefined) throw new AppError('invalid_request', `the CSV header names the column ${duplicate.slice(0, 100)} twice`);
  return header;
}

function toCsvRow(header: readonly string[], record: readonly string[], line: number): ImportRow {
  if (record.some((field) => field.includes(REPLACEMENT))) return { line, problem: notDecoded };
  if (record.length !== header.length) return { line, problem: { code: 'ragged_row', detail: `has ${record.length} fields where the header has ${header.length}` } };
  return { line, record: Object.fromEntries(header.map((name, index) => [name, record[index] ?? ''])), characters: record.reduce((sum, field) => sum + field.length, 0) };
}

/** The rows of an upload, one at a time. Throws when the file itself breaks off (truncated gzip), after the rows before it. */
export function importRows(input: Readable, { format, encoding, delimiter = ',' }: ImportFormat, onBytes: (bytes: number) => void = () => undefined): AsyncGenerator<ImportRow> {
  const text = decoded(input, encoding, onBytes);
  return format === 'csv' ? csvRows(text, delimiter) : ndjsonRows(text);
}
