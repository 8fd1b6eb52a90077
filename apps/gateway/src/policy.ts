import type { Operation } from '@millrace/contracts';
import type { NextFunction, Request, Response } from 'express';
import type { KeyOwner } from './key.repository.ts';

/** When a call to a service that has no answer yet is given up for another one. */
export interface Cut {
  readonly afterMs: number;
  /** Asked once, then. */
  readonly isWorth: () => boolean;
}

/** A call that was let in: its key is known, and has the scope. */
export interface Call {
  readonly req: Request;
  readonly res: Response;
  readonly next: NextFunction;
  readonly owner: KeyOwner;
  readonly requestId: string;
  /** The answer is for several callers: it does not end with this one, depends on none of its headers, and comes whole or, where it is too long to be held, not at all. */
  readonly isShared?: boolean;
  /** Somebody keeps the answer: it is awaited although the caller is gone. */
  readonly outlivesCaller?: boolean;
  /** Instead of the operation's own. */
  readonly timeoutMs?: number;
  readonly cut?: Cut;
}

/** A whole answer, not yet sent. Names of headers are lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The service was not asked: nothing can have changed. */
  readonly isUnsent?: boolean;
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

/** Longer ones do not fit into the buffers of a connection at once. */
const LONG_BYTES = 65_536;
/** A caller that takes nothing of its answer for so long is cut off. */
export const READ_TIMEOUT_MS = 120_000;

const ended: (() => void)[] = [];

/**
 * Answers that are ready in the same turn of the event loop are written one after the other at its end: who waits for them is woken once, which costs a third
 * less than an answer now and one then. Not where the body still comes: a service that answers before it has read all of it closes its connection, and
 * that ends the caller's.
 */
function endTogether({ req }: Response, end: () => void): void {
  if (!req.complete) {
    end();
    return;
  }
  if (ended.push(end) > 1) return;
  setImmediate(() => {
    for (const one of ended.splice(0)) one();
  });
}

export function sendAnswer(res: Response, { status, headers, body }: Answer): void {
  const hasBody = status !== 204 && status !== 304 && res.req.method !== 'HEAD';
  res.statusCode = status;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  if (!hasBody) {
    endTogether(res, () => res.end());
    return;
  }
  res.setHeader('content-length', body.length);
  // The same bytes as text: node sends a short text in one piece with the head, which costs a third of sending two.
  if (body.length <= LONG_BYTES) {
    endTogether(res, () => res.end(body.toString('latin1'), 'latin1'));
    return;
  }
  res.setTimeout(READ_TIMEOUT_MS);
  res.end(body);
}
