import type { Operation } from '@millrace/contracts';
import type { NextFunction, Request, Response } from 'express';
import type { KeyOwner } from './key.repository.ts';

/** A call that was let in: its key is known, and has the scope. */
export interface Call {
  readonly req: Request;
  readonly res: Response;
  readonly next: NextFunction;
  readonly owner: KeyOwner;
  readonly requestId: string;
}

/** A whole answer, not yet sent. Names of headers are lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Answers a call; undefined where the answer was written to `res` already (streams, feeds, operations of the gateway itself). */
export type Answerer = (call: Call) => Promise<Answer | undefined>;

/**
 * One concern around the calls of an operation: it may answer itself, refuse by throwing AppError, change what is answered, or ask again. Made once for
 * each operation, at the start: returns `answer` itself where it has nothing to do there, so that it costs nothing.
 */
export type Policy = (operation: Operation, answer: Answerer) => Answerer;

/** The first policy is the outermost. */
export const withPolicies = (operation: Operation, policies: readonly Policy[], answer: Answerer): Answerer => policies.reduceRight((inner, policy) => policy(operation, inner), answer);

export function sendAnswer(res: Response, { status, headers, body }: Answer): void {
  const hasBody = status !== 204 && status !== 304 && res.req.method !== 'HEAD';
  res.statusCode = status;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  if (hasBody) res.setHeader('content-length', body.length);
  res.end(hasBody ? body : undefined);
}
