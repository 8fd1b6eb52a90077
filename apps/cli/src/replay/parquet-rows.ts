import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import type { AsyncBuffer, Compressors } from 'hyparquet';
import { UsageError } from '../usage-error.ts';
import type { FileRow } from './file-rows.ts';

/** Rows that are in memory as objects at the same time. */
const ROWS = 20_000;
const compressors: Compressors = { ZSTD: (input) => zstdDecompressSync(input), GZIP: (input) => gunzipSync(input), BROTLI: (input) => brotliDecompressSync(input) };

const bufferOf = (handle: FileHandle, byteLength: number): AsyncBuffer => ({
  byteLength,
  slice: async (start, end = byteLength) => {
    const bytes = new Uint8Array(Math.max(0, end - start));
    await handle.read(bytes, 0, bytes.length, start);
    return bytes.buffer;
  },
});

/** What JSON holds; whole numbers beyond 2^53 as text. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return value instanceof Date ? value.toISOString() : value;
}

/** A Parquet file's rows; `line` is the row. Memory holds the columns of one row group, unpacked, and 50,000 rows. */
export async function* parquetRows(file: string, onProgress: (done: number, total: number) => void): AsyncGenerator<FileRow> {
  const handle = await open(file);
  try {
    const buffer = bufferOf(handle, (await handle.stat()).size);
    const metadata = await parquetMetadataAsync(buffer).catch((error: unknown) => {
      throw new UsageError(`${file} is not a Parquet file`, { cause: error });
    });
    const total = Number(metadata.num_rows);
    for (let start = 0; start < total; start += ROWS) {
      const rows = await parquetReadObjects({ file: buffer, metadata, rowStart: start, rowEnd: Math.min(total, start + ROWS), compressors });
      for (const [index, row] of rows.entries()) {
        const record = Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)]));
        yield { line: start + index + 1, record, content: JSON.stringify(record) };
      }
      onProgress(Math.min(total, start + rows.length), total);
    }
  } finally {
    await handle.close();
  }
}
