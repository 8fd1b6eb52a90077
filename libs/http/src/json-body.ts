import type { IncomingMessage } from 'node:http';
import { AppError } from '@millrace/service';
import express from 'express';
import type { RequestHandler } from 'express';

export const JSON_LIMIT_BYTES = 1_048_576;
const PLAIN = new Set(['application/json', 'application/json; charset=utf-8', 'application/json;charset=utf-8']);
const parseAny = express.json({ limit: JSON_LIMIT_BYTES, strict: false });

/** As nearly everybody sends it: a known length within bounds, neither packed nor in another encoding. */
export const isPlain = ({ headers }: IncomingMessage): boolean =>
  PLAIN.has(headers['content-type'] ?? '') && headers['content-encoding'] === undefined && headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? Number.NaN) <= JSON_LIMIT_BYTES;

const brokenTexts = new WeakMap<IncomingMessage, string>();
/** The text of a JSON body that is not valid JSON, for who keeps what was refused; undefined for any other request. */
export const brokenBodyOf = (req: IncomingMessage): string | undefined => brokenTexts.get(req);

/** Express' parser tells what it could not parse. */
const textOfFailure = (error: unknown): string | undefined => (typeof error === 'object' && error !== null && 'body' in error && typeof error.body === 'string' ? error.body : undefined);

/** Node's own parser cuts the body at the length that was announced. */
function readText(req: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let isWhole = false;
    req.on('data', (chunk: Buffer) => void chunks.push(chunk));
    req.once('close', () => {
      if (!isWhole) reject(new AppError('malformed_body', 'the body broke off'));
    });
    req.once('error', reject);
    req.once('end', () => {
      isWhole = true;
      resolve((chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))?.toString('utf8') ?? '');
    });
  });
}

const reading = new WeakMap<IncomingMessage, Promise<string>>();
const kept = new WeakMap<IncomingMessage, Buffer>();

/** The body as text, for whoever asks first and for who asks again. */
export function readOnce(req: IncomingMessage): Promise<string> {
  const known = reading.get(req);
  if (known) return known;
  const body = kept.get(req);
  const text = body ? Promise.resolve(body.toString('utf8')) : readText(req);
  reading.set(req, text);
  return text;
}

/** For who has read the body already: `parseJsonBody` takes this instead of reading. It becomes a text only where somebody asks for that. */
export const keepBody = (req: IncomingMessage, body: Buffer): void => void kept.set(req, body);

/** What somebody has read is a text only where it was not packed. */
const isRead = (req: IncomingMessage): boolean => {
  if (!reading.has(req) && !kept.has(req)) return false;
  if (req.headers['content-encoding'] !== undefined) throw new AppError('unsupported_media_type', 'send the body without Content-Encoding', { details: [{ in: 'headers', pointer: '/content-encoding', detail: 'must be absent here' }] });
  return true;
};

/** An empty text is no body, as express has it. */
export function parseText(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch (error) {
    throw new AppError('malformed_body', 'the body is not valid JSON', { cause: error, details: [{ in: 'body', pointer: '', detail: 'is not valid JSON' }] });
  }
}

/** `req.body` of a JSON request of at most 1 MiB. Refuses other media types; what is not plain goes through express' own parser, which costs more than most answers. */
export const parseJsonBody: RequestHandler = async (req, res, next) => {
  if (isPlain(req) || (req.is('json') && isRead(req))) {
    const text = await readOnce(req);
    try {
      req.body = parseText(text);
    } catch (error) {
      brokenTexts.set(req, text);
      throw error;
    }
    next();
    return;
  }
  if (!req.is('json')) throw new AppError('unsupported_media_type', 'the body must be sent as application/json', { details: [{ in: 'headers', pointer: '/content-type', detail: 'must be application/json' }] });
  parseAny(req, res, (error?: unknown) => {
    const text = textOfFailure(error);
    if (text !== undefined) brokenTexts.set(req, text);
    next(error);
  });
};
