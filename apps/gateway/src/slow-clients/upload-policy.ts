import { AppError } from '@millrace/service';
import type { Policy } from '../policy.ts';
import { hasBody } from '../request-body.ts';

export interface UploadPolicyOptions {
  /** How often it is looked at. */
  readonly everyMs?: number;
  /** So much of the body must have arrived since the last time. */
  readonly leastBytes?: number;
}

/**
 * Bodies that are streamed may take as long as they go on: one that brings less than a kilobyte a second over half a minute is refused (408), because it
 * holds one of the few connections for uploads. Not where the service is slow to take what has arrived. Other bodies are small, and have 15 s.
 */
export const uploadPolicy = ({ everyMs = 30_000, leastBytes = 30_720 }: UploadPolicyOptions = {}): Policy => (operation, answer) => {
  if (operation.streams === undefined) return answer;
  return async (call) => {
    const { req, res } = call;
    if (!hasBody(req)) return answer(call);
    const { promise: tooSlow, reject } = Promise.withResolvers<never>();
    // Of the request it is gone when the body is read.
    const { socket } = req;
    let before = socket.bytesRead;
    const timer = setInterval(() => {
      const arrived = socket.bytesRead - before;
      before = socket.bytesRead;
      if (req.complete || arrived >= leastBytes || req.readableLength > 0) return;
      if (!res.headersSent) res.set('Connection', 'close');
      reject(new AppError('request_timeout', `less than ${leastBytes} bytes of the body arrived within ${everyMs / 1_000} s: send it faster, or in parts`));
    }, everyMs);
    return Promise.race([answer(call), tooSlow]).finally(() => clearInterval(timer));
  };
};
