import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { LoadRefusedError } from '../errors.ts';
import type { SourceFile } from './reading.ts';

const CHUNK_BYTES = 262_144;

const isGzip = (head: Buffer): boolean => head[0] === 0x1f && head[1] === 0x8b;

function decoderFor(encoding: string | undefined, head: Buffer): InstanceType<typeof TextDecoder> {
  const marked = head[0] === 0xff && head[1] === 0xfe ? 'utf-16le' : head[0] === 0xfe && head[1] === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(encoding ?? marked, { fatal: true });
  } catch (error) {
    throw new LoadRefusedError(`the encoding ${encoding ?? ''} is not known: use a WHATWG label, such as utf-8, latin1 or windows-1258`, { cause: error });
  }
}

/** Why the bytes could not be had: a damaged file is the giver's, anything else is ours. */
function toRefusal(error: unknown): unknown {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (code === 'Z_BUF_ERROR') return new LoadRefusedError('the gzip file ends too early: it was cut off', { cause: error });
  if (code.startsWith('Z_')) return new LoadRefusedError('the gzip file is damaged', { cause: error });
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return new LoadRefusedError('the file is not UTF-8: say its encoding (--encoding latin1, --encoding windows-1258)', { cause: error });
  return error;
}

function noParquet(head: Buffer): void {
  if (head.subarray(0, 4).toString('latin1') === 'PAR1') throw new LoadRefusedError('a Parquet file inside gzip is not read: unpack it first (gunzip)');
}

/** The text of a file, unpacked where it begins as gzip does, without its byte order mark. `onRaw` gets the bytes as they are in the file. */
export async function* textChunks({ path, encoding }: SourceFile, head: Buffer, onRaw: (chunk: Buffer) => void): AsyncGenerator<string> {
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  file.on('data', (chunk) => onRaw(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk)));
  // A failure of either is thrown by the loop.
  const bytes = isGzip(head) ? pipeline(file, createGunzip({ chunkSize: CHUNK_BYTES }), () => undefined) : file;
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  try {
    for await (const chunk of bytes) {
      const data = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      if (decoder === undefined) noParquet(data);
      decoder ??= decoderFor(encoding, data);
      yield decoder.decode(data, { stream: true });
    }
    if (decoder) yield decoder.decode();
  } catch (error) {
    throw toRefusal(error);
  }
}
