/** `away`: it cannot be asked now; `budget`: what may be spent is spent; `refused`: the provider refuses the key, the model or the size; `not_configured`: nothing says where it is. */
export type EmbeddingTrouble = 'away' | 'budget' | 'refused' | 'not_configured';

/** The model cannot be asked now. Nothing is lost: the same call succeeds once the reason, which the message says in a sentence, is gone. */
export class EmbeddingUnavailableError extends Error {
  override readonly name = 'EmbeddingUnavailableError';
  /** The bus waits for it and never counts the failure against an event. */
  readonly code = 'unavailable';
  readonly trouble: EmbeddingTrouble;
  /** Before this there is no use in asking again, milliseconds. Whoever waits for it has not failed. */
  readonly retryAfterMs: number;
  constructor(message: string, { trouble, retryAfterMs = 30_000, cause }: { readonly trouble: EmbeddingTrouble; readonly retryAfterMs?: number; readonly cause?: unknown }) {
    super(message, cause === undefined ? undefined : { cause });
    this.trouble = trouble;
    this.retryAfterMs = retryAfterMs;
  }
}
