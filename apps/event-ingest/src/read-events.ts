import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { EVENT_LIMITS, newEventSchema } from '@millrace/contracts';
import type { NewEvent } from '@millrace/contracts';
import { parsePart } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { ErrorCode } from '@millrace/service';

/** One item of a request, or what is wrong with it. */
export type ReadItem = { readonly event: NewEvent } | { readonly problem: { readonly code: ErrorCode; readonly pointer: string; readonly detail: string } };

const tooLarge = (what: string): AppError => new AppError('body_too_large', what, { details: [{ in: 'body', pointer: '', detail: 'is too large' }] });

/** Unpacked where the data begin as gzip does, whatever the headers say; at most `maxBytes`, packed and unpacked. */
export async function readDecoded(input: Readable, maxBytes: number = EVENT_LIMITS.decodedBytes): Promise<Buffer> {
  const packed: Buffer[] = [];
  const chunks: Buffer[] = [];
  let bytes = 0;
  const take = (chunk: Buffer, into: Buffer[]): void => {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(`the body is larger than ${maxBytes / 1_048_576} MB, unpacked: send it in parts`);
    into.push(chunk);
  };
  for await (const chunk of input) if (Buffer.isBuffer(chunk)) take(chunk, packed);
  const body = Buffer.concat(packed);
  if (body[0] !== 0x1f || body[1] !== 0x8b) return body;
  bytes = 0;
  const gunzip = createGunzip();
  gunzip.end(body);
  try {
    for await (const chunk of gunzip) if (Buffer.isBuffer(chunk)) take(chunk, chunks);
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('malformed_body', 'the gzip data are damaged or cut off', { cause: error });
  } finally {
    gunzip.destroy();
  }
  return Buffer.concat(chunks);
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** The items of a JSON array as they are, or the lines of NDJSON; empty lines are none. */
export function splitItems(body: Buffer): readonly unknown[] | readonly Buffer[] {
  const isArray = body.subarray(0, 64).toString('latin1').trimStart().startsWith('[');
  const items = isArray ? parseArray(body) : linesOf(body);
  if (items.length > EVENT_LIMITS.items) throw tooLarge(`${items.length} items are more than ${EVENT_LIMITS.items}: send them in parts`);
  if (items.length === 0) throw new AppError('invalid_request', 'there are no events in the body', { details: [{ in: 'body', pointer: '', detail: 'must have at least one item' }] });
  return items;
}

function parseArray(body: Buffer): readonly unknown[] {
  try {
    const parsed: unknown = JSON.parse(decoder.decode(body));
    if (Array.isArray(parsed)) return parsed;
  } catch (error) {
    throw new AppError('malformed_body', 'the body is not a valid JSON array', { cause: error, details: [{ in: 'body', pointer: '', detail: 'is not valid JSON' }] });
  }
  throw new AppError('malformed_body', 'the body is not a JSON array');
}

function linesOf(body: Buffer): readonly Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < body.length; ) {
    const end = body.indexOf(0x0a, start);
    const line = body.subarray(start, end < 0 ? body.length : end);
    if (line.some((byte) => byte !== 0x20 && byte !== 0x0d && byte !== 0x09)) lines.push(line);
    start = end < 0 ? body.length : end + 1;
  }
  return lines;
}

const problem = (code: ErrorCode, pointer: string, detail: string): ReadItem => ({ problem: { code, pointer, detail } });

/** Never throws: what is wrong with one item is its own result. */
export function readItem(item: unknown): ReadItem {
  let value = item;
  if (Buffer.isBuffer(item)) {
    if (item.length > EVENT_LIMITS.lineBytes) return problem('body_too_large', '', `the line is larger than ${EVENT_LIMITS.lineBytes / 1_024} kB`);
    try {
      value = JSON.parse(decoder.decode(item));
    } catch {
      return problem('malformed_body', '', 'the line is not valid JSON');
    }
  }
  try {
    return { event: parsePart(newEventSchema, value, 'body') };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const [first] = error.details;
    return problem(error.code, first?.pointer ?? '', first?.detail ?? error.message);
  }
}
