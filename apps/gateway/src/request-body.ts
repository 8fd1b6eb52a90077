import { JSON_LIMIT_BYTES, keepBody } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { Request, Response } from 'express';

const BODY_TIMEOUT_MS = 15_000;
const EMPTY = Buffer.alloc(0);

export const hasBody = (req: Request): boolean => req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;

export interface ReadOptions {
  readonly timeoutMs?: number;
  readonly limitBytes?: number;
}

export const tooLarge = (limitBytes: number): AppError => new AppError('body_too_large', `the body is larger than ${limitBytes} bytes`, { details: [{ in: 'body', pointer: '', detail: 'is too large' }] });

/** Takes a part of a body that has arrived; or says why there is no room for it. */
export type TakePart = (bytes: number) => AppError | undefined;
const takers = new WeakMap<Request, TakePart>();
/** `take` is asked about each part of the body; where it refuses one, the body is refused. */
export const countBody = (req: Request, take: TakePart): void => void takers.set(req, take);

/** What is refused is read no further: the connection ends with the answer. */
function receive(req: Request, res: Response, { timeoutMs = BODY_TIMEOUT_MS, limitBytes = JSON_LIMIT_BYTES }: ReadOptions): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const takePart = takers.get(req);
  const refuse = (error: AppError): void => {
    req.off('data', take);
    req.pause();
    chunks.length = 0;
    res.set('Connection', 'close');
    reject(error);
  };
  const late = setTimeout(() => refuse(new AppError('request_timeout', `the body did not arrive within ${timeoutMs / 1_000} s`)), timeoutMs);
  const take = (chunk: Buffer): void => {
    bytes += chunk.length;
    const refusal = bytes > limitBytes ? tooLarge(limitBytes) : takePart?.(chunk.length);
    if (refusal) refuse(refusal);
    else chunks.push(chunk);
  };
  req.on('data', take);
  req.once('end', () => resolve(Buffer.concat(chunks)));
  req.once('close', () => reject(new AppError('malformed_body', 'the body broke off')));
  return promise.finally(() => {
    clearTimeout(late);
    req.off('data', take);
  });
}

const bodies = new WeakMap<Request, Promise<Buffer>>();

/**
 * The whole body, of at most `limitBytes` (1 MiB), for whoever asks first and for who asks again; empty where there is none. Not for bodies that are streamed.
 * @throws body_too_large, request_timeout after `timeoutMs`, malformed_body where it breaks off
 */
export function readBody(req: Request, res: Response, options: ReadOptions = {}): Promise<Buffer> {
  if (!hasBody(req)) return Promise.resolve(EMPTY);
  const known = bodies.get(req);
  if (known) return known;
  const body = receive(req, res, options);
  bodies.set(req, body);
  // Routes of this process find it, too.
  return body.then((bytes) => {
    keepBody(req, bytes);
    return bytes;
  });
}
