// By itself: the thread that reads files needs it, and nothing of Postgres.
import { hmacOf, markOf } from './erasure-key.ts';

/** Everybody who was erased, in a form that may go to another thread. */
export interface ErasedList {
  readonly hmacKey: Uint8Array;
  readonly hmacs: readonly string[];
  readonly marks: readonly number[];
}

/** True for an ISDN (as `parseIsdn` gives it) that was erased. About 0.1 microseconds for everybody else. */
export type IsErased = (isdn: string) => boolean;

export function createErasedFilter({ hmacKey, hmacs, marks }: ErasedList): IsErased {
  const [known, names] = [new Set(marks), new Set(hmacs)];
  return (isdn) => known.has(markOf(isdn)) && names.has(hmacOf(hmacKey, isdn));
}
