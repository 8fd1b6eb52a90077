/** Messages between the reader and its worker thread. */
import type { StoredVersion } from '@millrace/contracts';
import type { RankingPart, SearchAnswer, SearchQuery, Suggestion } from '../ports.ts';

export interface WorkerData {
  readonly directory: string;
  /** Absent: the live index. */
  readonly index?: string;
  readonly without?: readonly RankingPart[];
}

export type WorkerRequest =
  | { readonly id: number; readonly kind: 'search'; readonly query: SearchQuery }
  | { readonly id: number; readonly kind: 'suggest'; readonly prefix: string; readonly limit: number }
  | { readonly id: number; readonly kind: 'version'; readonly sku: string };

export type WorkerReply =
  | { readonly id: number; readonly kind: 'search'; readonly answer: SearchAnswer }
  | { readonly id: number; readonly kind: 'suggest'; readonly suggestions: readonly Suggestion[] }
  | { readonly id: number; readonly kind: 'version'; readonly stored: StoredVersion | undefined }
  | { readonly id: number; readonly kind: 'error'; readonly error: 'unavailable' | 'cursor' | 'other'; readonly message: string };
