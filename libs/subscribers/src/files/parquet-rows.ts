import { asyncBufferFromFile, parquetMetadataAsync, parquetScan, parquetSchema } from 'hyparquet';
import type { Compressors, FileMetaData, ParquetScan, RowGroup, SchemaElement } from 'hyparquet';
import { decompressLz4, decompressLz4Raw } from 'hyparquet-compressors';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { LoadRefusedError } from '../errors.ts';
import type { RowSink, SourceFile } from './reading.ts';

/** Largest row group that is read without an index of its pages, uncompressed. */
export const MAX_ROW_GROUP_BYTES = 268_435_456;
/** Of uncompressed data that are decoded at once. */
const SLICE_BYTES = 25_165_824;
/** Pages are decoded whole: slices below the usual row group would decode theirs twice. */
const MAX_SLICE_ROWS = 131_072;

/** What the page says of itself, within what is read at all: a small file must not become a large memory. */
function atMost(bytes: number): number {
  if (bytes > MAX_ROW_GROUP_BYTES) throw new Error(`a page of ${bytes} bytes`);
  return Math.max(1, bytes);
}

/** Node's own where it has them: they are compiled. Snappy is part of hyparquet. */
const compressors: Compressors = {
  GZIP: (input, bytes) => gunzipSync(input, { maxOutputLength: atMost(bytes) }),
  BROTLI: (input, bytes) => brotliDecompressSync(input, { maxOutputLength: atMost(bytes) }),
  ZSTD: (input, bytes) => zstdDecompressSync(input, { maxOutputLength: atMost(bytes) }),
  LZ4: decompressLz4,
  LZ4_RAW: decompressLz4Raw,
};

const decoder = new TextDecoder('utf-8', { fatal: true });
/** Text stays text, also where it is JSON: cells are checked by one place for all formats. */
const parsers = {
  stringFromBytes: (bytes: Uint8Array | undefined): string | undefined => bytes && decoder.decode(bytes),
  jsonFromBytes: (bytes: Uint8Array | undefined): string | undefined => bytes && decoder.decode(bytes),
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : 'unknown error').slice(0, 200);
const bytesOf = ({ columns }: RowGroup): number => columns.reduce((sum, { meta_data: meta }) => sum + Number(meta?.total_uncompressed_size ?? 0), 0);
const hasPageIndex = ({ columns }: RowGroup): boolean => columns.every(({ offset_index_offset: offset }) => offset !== undefined);

/** hyparquet multiplies decimals, which leaves 0.30000000000000004: as many digits as the column has are right again. */
function exactly({ converted_type: converted, scale = 0 }: SchemaElement): (cell: unknown) => unknown {
  return converted === 'DECIMAL' ? (cell) => (typeof cell === 'number' ? cell.toFixed(scale) : cell) : (cell) => cell;
}

function checkGroups({ row_groups: groups }: FileMetaData, maxBytes: number): void {
  for (const [at, group] of groups.entries())
    if (bytesOf(group) > maxBytes && !hasPageIndex(group))
      throw new LoadRefusedError(`row group ${at} has ${Math.ceil(bytesOf(group) / 1_048_576)} MiB uncompressed and no page index, at most ${Math.floor(maxBytes / 1_048_576)} MiB are read: write smaller ones (pyarrow: row_group_size=500_000 or write_page_index=True, Spark: parquet.block.size)`);
}

async function readMetadata(file: Awaited<ReturnType<typeof asyncBufferFromFile>>): Promise<FileMetaData> {
  try {
    return await parquetMetadataAsync(file);
  } catch (error) {
    throw new LoadRefusedError(`the file is not Parquet that can be read: ${messageOf(error)}`, { cause: error });
  }
}

interface Slice { readonly rowStart: number; readonly rowEnd: number; readonly group: number }

/** Parts of row groups that are small once they are decoded. */
function* slices({ row_groups: groups }: FileMetaData, sliceBytes: number): Generator<Slice> {
  let start = 0;
  for (const [group, one] of groups.entries()) {
    const rows = Number(one.num_rows);
    const step = Math.max(1_000, Math.min(MAX_SLICE_ROWS, Math.floor((rows * sliceBytes) / Math.max(1, bytesOf(one)))));
    for (let at = start; at < start + rows; at += step) yield { rowStart: at, rowEnd: Math.min(at + step, start + rows), group };
    start += rows;
  }
}

/** Column after column, so that no more than one of them is in memory as it stands in the file. */
async function readSlice(scan: ParquetScan, names: readonly string[], { rowStart, rowEnd, group }: Slice): Promise<ArrayLike<unknown>[]> {
  const columns: ArrayLike<unknown>[] = [];
  for (const column of names) {
    try {
      columns.push(await scan.readColumn({ column, rowStart, rowEnd }));
    } catch (error) {
      throw new LoadRefusedError(`column ${column.slice(0, 60)} of row group ${group} cannot be read: ${messageOf(error)}`, { cause: error });
    }
    if (columns.at(-1)?.length !== rowEnd - rowStart) throw new LoadRefusedError(`column ${column.slice(0, 60)} of row group ${group} has fewer values than the row group has rows`);
  }
  return columns;
}

export interface ParquetLimits {
  readonly maxRowGroupBytes?: number;
  readonly sliceBytes?: number;
}

/** Reads a Parquet file slice by slice of its row groups. Throws LoadRefusedError where it is damaged, or a row group is too large. */
export async function readParquet({ path }: SourceFile, sink: RowSink, { maxRowGroupBytes = MAX_ROW_GROUP_BYTES, sliceBytes = SLICE_BYTES }: ParquetLimits = {}): Promise<void> {
  const file = await asyncBufferFromFile(path);
  const metadata = await readMetadata(file);
  checkGroups(metadata, maxRowGroupBytes);
  const elements = parquetSchema(metadata).children.map(({ element }) => element);
  const used = sink.onHeader(elements.map(({ name }) => name));
  const columns = used.flatMap((place) => (elements[place] === undefined ? [] : [{ place, name: elements[place].name, exact: exactly(elements[place]) }]));
  const names = columns.map(({ name }) => name);
  const scan = await parquetScan({ file, metadata, columns: names, compressors, parsers }).catch((error: unknown) => {
    throw new LoadRefusedError(`the Parquet file cannot be read: ${messageOf(error)}`, { cause: error });
  });
  const total = Math.max(1, Number(metadata.num_rows));
  for (const slice of slices(metadata, sliceBytes)) {
    const values = await readSlice(scan, names, slice);
    for (let at = 0; at < slice.rowEnd - slice.rowStart; at += 1) {
      const cells: unknown[] = Array.from({ length: elements.length });
      for (const [index, { place, exact }] of columns.entries()) cells[place] = exact(values[index]?.[at]);
      sink.onRow(cells, slice.rowStart + at + 1);
    }
    await sink.onProgress(Math.round((file.byteLength * slice.rowEnd) / total));
  }
}
