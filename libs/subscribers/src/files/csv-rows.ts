import { once } from 'node:events';
import { CsvError, parse } from 'csv-parse';
import type { Parser } from 'csv-parse';
import { LoadRefusedError } from '../errors.ts';
import type { RowSink, SourceFile } from './reading.ts';
import { textChunks } from './text-chunks.ts';

/** Longest line and longest record: bounds the memory of a load of any size. */
export const MAX_LINE_CHARACTERS = 1_048_576;

const DELIMITERS = [',', ';', '\t', '|'];

function delimiterOf(header: string): string {
  const counts = DELIMITERS.map((one) => ({ one, count: header.split(one).length }));
  return counts.toSorted((a, b) => b.count - a.count)[0]?.one ?? ',';
}

const lineTooLong = (line: number): LoadRefusedError => new LoadRefusedError(`line ${line} is longer than ${MAX_LINE_CHARACTERS} characters: has the file line ends, and is every quotation mark closed?`);

interface Rows {
  /** One record, whoever split it. */
  readonly take: (cells: readonly string[], line: number) => void;
  readonly bad: (line: number, reason: string) => void;
}

/** The first record is the header; a record of another length is bad. */
function rowsTo(sink: RowSink): Rows {
  let width: number | undefined;
  return {
    bad: (line, reason) => sink.onBadRow(line, reason),
    take(cells, line) {
      if (width === undefined) {
        width = cells.length;
        sink.onHeader(cells);
      } else if (cells.length === width) sink.onRow(cells, line);
      else sink.onBadRow(line, `has ${cells.length} cells where the header has ${width}`);
    },
  };
}

/** csv-parse from `base` lines on: quotation marks, line ends inside of them. */
function quotedParser(rows: Rows, delimiter: string, base: number): { write(text: string): Promise<void>; end(): Promise<void> } {
  let failure: unknown;
  const parser: Parser = parse({
    delimiter, relax_column_count: true, relax_quotes: true, skip_empty_lines: true, skip_records_with_error: true, max_record_size: MAX_LINE_CHARACTERS,
    on_record: (record: string[], { lines }) => {
      rows.take(record, base + lines);
      return null;
    },
    // Stray quotation marks are text; what swallowed the rest of the file is none.
    on_skip: (error) => {
      const line = base + parser.info.lines;
      if (error?.code === 'CSV_MAX_RECORD_SIZE') failure ??= lineTooLong(line);
      else if (error?.code === 'CSV_QUOTE_NOT_CLOSED') failure ??= new LoadRefusedError(`a quotation mark before line ${line} is not closed`, { cause: error });
      else rows.bad(line, error?.message ?? 'is no CSV');
      return undefined;
    },
  });
  parser.on('error', (error) => { failure ??= error; });
  parser.resume();
  const check = (): void => {
    if (failure === undefined) return;
    throw failure instanceof CsvError ? new LoadRefusedError(`the file is not valid CSV after line ${base + parser.info.lines}: ${failure.message}`, { cause: failure }) : failure;
  };
  return {
    async write(text) {
      check();
      if (!parser.write(text)) await Promise.race([once(parser, 'drain'), once(parser, 'close')]);
      check();
    },
    async end() {
      const closed = once(parser, 'close');
      parser.end();
      await closed.catch(() => undefined);
      check();
    },
  };
}

/** Lines without a quotation mark need no parser. Returns the number of lines. */
function splitPlain(block: string, delimiter: string, { take }: Rows, line: number): number {
  let at = 0;
  let count = line;
  while (at < block.length) {
    const end = block.indexOf('\n', at);
    const stop = end < 0 ? block.length : end;
    count += 1;
    const text = block.charCodeAt(stop - 1) === 13 ? block.slice(at, stop - 1) : block.slice(at, stop);
    if (text.length > MAX_LINE_CHARACTERS) throw lineTooLong(count);
    if (text !== '') take(text.split(delimiter), count);
    at = stop + 1;
  }
  return count;
}

/**
 * Reads a CSV file (gzip too) record by record; the first is the header. Up to the first quotation mark lines are split as they are, from
 * its line on csv-parse does it. Throws LoadRefusedError where the file as a whole cannot be read.
 */
export async function readCsv(source: SourceFile, head: Buffer, sink: RowSink, onRaw: (chunk: Buffer) => void): Promise<void> {
  if (source.delimiter !== undefined && !/^[^"\r\n]$/.test(source.delimiter)) throw new LoadRefusedError('the delimiter must be one character, and no quotation mark: --delimiter ";"');
  const rows = rowsTo(sink);
  let bytes = 0;
  let rest = '';
  let line = 0;
  let delimiter = source.delimiter;
  let quoted: ReturnType<typeof quotedParser> | undefined;
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    onRaw(chunk);
  };
  for await (const text of textChunks(source, head, count)) {
    if (quoted !== undefined) {
      await quoted.write(text);
      await sink.onProgress(bytes);
      continue;
    }
    const block = rest + text;
    delimiter ??= block.includes('\n') ? delimiterOf(block.slice(0, block.indexOf('\n'))) : undefined;
    const quote = block.indexOf('"', rest.length);
    const end = (quote < 0 ? block.lastIndexOf('\n') : block.lastIndexOf('\n', quote)) + 1;
    if (end > 0) line = splitPlain(block.slice(0, end), delimiter ?? ',', rows, line);
    rest = block.slice(end);
    if (quote >= 0) {
      quoted = quotedParser(rows, delimiter ?? delimiterOf(rest), line);
      await quoted.write(rest);
      rest = '';
    } else if (rest.length > MAX_LINE_CHARACTERS) throw lineTooLong(line + 1);
    await sink.onProgress(bytes);
  }
  if (quoted === undefined) line = splitPlain(rest, delimiter ?? delimiterOf(rest), rows, line);
  await quoted?.end();
  if (line === 0 && quoted === undefined) throw new LoadRefusedError('the file is empty');
  await sink.onProgress(bytes);
}
