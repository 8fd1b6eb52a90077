import { InvalidVectorError, VectorsUnavailableError } from '../errors.ts';
import type { SimilarHit, SimilarQuery, VectorModel, VectorRecord } from '../ports.ts';

/** What the reader asks its worker thread, and the answer's type. */
export interface Operations {
  warm: { params: Record<string, never>; result: null };
  model: { params: Record<string, never>; result: VectorModel | null };
  get: { params: { sku: string }; result: VectorRecord | null };
  nearest: { params: { vector: Float32Array; query: SimilarQuery }; result: readonly SimilarHit[] };
}

export type Operation = keyof Operations;

/** One message to the worker; `deadline` (ms since 1970) lets it answer without work what nobody waits for any more. */
export type Request = { [O in Operation]: { readonly id: number; readonly deadline: number; readonly operation: O; readonly params: Operations[O]['params'] } }[Operation];
/** Nobody's: the thread is at work on something large. */
export const PROGRESS = 0;
export type Answer = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: WireError };

/** Errors lose their class between threads. */
export interface WireError { readonly kind: 'unavailable' | 'invalid' | 'range'; readonly message: string }

/** What is not the caller's mistake means that the store cannot be asked now. */
export function toWire(error: unknown): WireError {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof InvalidVectorError) return { kind: 'invalid', message };
  if (error instanceof RangeError) return { kind: 'range', message };
  return { kind: 'unavailable', message };
}

export function fromWire({ kind, message }: WireError): Error {
  if (kind === 'invalid') return new InvalidVectorError(message);
  if (kind === 'range') return new RangeError(message);
  return new VectorsUnavailableError(message);
}
