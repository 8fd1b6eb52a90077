import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { LoadRefusedError } from '../errors.ts';
import { readCsv } from './csv-rows.ts';
import type { RowSink, SourceFile } from './reading.ts';

/** The first bytes of a file. Throws LoadRefusedError where it cannot be opened. */
async function readHead(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, 'r');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw new LoadRefusedError(`${path} cannot be read`, { cause: error });
  }
}

/** SHA-256 of a file, in hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1_048_576 })) hash.update(Buffer.isBuffer(chunk) ? chunk : String(chunk));
  return hash.digest('hex');
}

/** Reads CSV (gzip too) or Parquet, told by the first bytes, never by the name. Returns the SHA-256 of the file. */
export async function readFile(source: SourceFile, sink: RowSink): Promise<string> {
  const head = await readHead(source.path);
  if (head.length === 0) throw new LoadRefusedError('the file is empty');
  if (head.subarray(0, 4).toString('latin1') === 'PAR1') {
    const { readParquet } = await import('./parquet-rows.ts');
    await readParquet(source, sink);
    return await hashFile(source.path);
  }
  const hash = createHash('sha256');
  await readCsv(source, head, sink, (chunk) => void hash.update(chunk));
  return hash.digest('hex');
}
