/** Messages between the reader and its worker thread. */
import type { SearchAnswer, SearchQuery, Suggestion } from '../ports.ts';

export type WorkerRequest =
  | { readonly id: number; readonly kind: 'search'; readonly query: SearchQuery }
  | { readonly id: number; readonly kind: 'suggest'; readonly prefix: string; readonly limit: number };

export type WorkerReply =
  | { readonly id: number; readonly kind: 'search'; readonly answer: SearchAnswer }
  | { readonly id: number; readonly kind: 'suggest'; readonly suggestions: readonly Suggestion[] }
  | { readonly id: number; readonly kind: 'error'; readonly error: 'unavailable' | 'cursor' | 'other'; readonly message: string };
