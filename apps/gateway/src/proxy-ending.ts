import type { Response } from 'express';
import type { Cut } from './policy.ts';

export interface EndingOptions {
  /** undefined: it may take as long as it takes. */
  readonly timeoutMs: number | undefined;
  /** It is not this caller's alone: it does not end with it. */
  readonly isShared: boolean;
  /** It goes on without its caller; that this one has gone is known all the same. */
  readonly outlivesCaller: boolean;
  readonly cut: Cut | undefined;
  /** Ends it as well. */
  readonly others: AbortSignal | undefined;
}

/** Why a call to a service ends before its answer: its caller has gone, its time is over, it is cut, or all of its kind end. */
export interface Ending {
  /** One for all reasons: joining several costs more than the request. */
  readonly signal: AbortSignal;
  readonly isGone: () => boolean;
  readonly isCut: () => boolean;
  /** The head of the answer is there: it is not cut any more. */
  readonly begun: () => void;
  /** Once the call has ended. */
  readonly release: () => void;
}

export function endingOf(res: Response, { timeoutMs, isShared, outlivesCaller, cut, others }: EndingOptions): Ending {
  const end = new AbortController();
  let [isGone, isCut] = [false, false];
  const leave = (): void => {
    isGone = true;
    if (!outlivesCaller) end.abort();
  };
  const endAll = (): void => end.abort();
  if (!isShared) res.once('close', leave);
  others?.addEventListener('abort', endAll);
  // Waiting for a free connection counts, too: nobody waits for ever behind a service that hangs.
  const late = timeoutMs === undefined ? undefined : setTimeout(() => end.abort(new DOMException('the service took too long', 'TimeoutError')), timeoutMs);
  const cutting = cut && setTimeout(() => {
    isCut = cut.isWorth();
    if (isCut) end.abort();
  }, cut.afterMs);
  return {
    signal: end.signal,
    isGone: () => isGone,
    isCut: () => isCut,
    begun: () => clearTimeout(cutting),
    release() {
      clearTimeout(cutting);
      clearTimeout(late);
      res.off('close', leave);
      others?.removeEventListener('abort', endAll);
    },
  };
}
