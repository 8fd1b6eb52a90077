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
  if (items.length === 0) throw new AppError('invalid_request', 'there are no events in the body', { details: [{ in: 'body', pointer: '', detail: 'must have at least one item' }] });
  return items;
}

const tooMany = (): AppError => tooLarge(`there are more than ${EVENT_LIMITS.items} items: send them in parts`);

/** Values of one array, at any depth: 200 for each item. */
const MAX_VALUES = 2_000_000;
const [QUOTE, BACKSLASH, COMMA, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = Buffer.from('"\\,[]{}');

/** Before anything is built of it: a packed body of a few kB holds millions of values, which need gigabytes. */
function checkSize(body: Buffer): void {
  let [depth, items, values, isText] = [0, 1, 1, false];
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at];
    if (byte === QUOTE) isText = !isText;
    else if (isText) at += byte === BACKSLASH ? 1 : 0;
    else if (byte === COMMA) {
      values += 1;
      items += depth === 1 ? 1 : 0;
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      depth += 1;
      values += 1;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1;
    if (items > EVENT_LIMITS.items) throw tooMany();
    if (values > MAX_VALUES) throw tooLarge(`there are more than ${MAX_VALUES} values in the items: send them in parts`);
  }
}

function parseArray(body: Buffer): readonly unknown[] {
  checkSize(body);
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
    if (line.some((byte) => byte !== 0x20 && byte !== 0x0d && byte !== 0x09)) {
      if (lines.length === EVENT_LIMITS.items) throw tooMany();
      lines.push(line);
    }
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
