import { EmbeddingUnavailableError } from '@millrace/embedding';
import type { EmbedTexts } from '@millrace/embedding';
import { DelegateBackoff, handleWhen, retry } from 'cockatiel';
import { unlimitedBudget } from './budget.ts';
import type { Budget } from './budget.ts';
import { requestEmbeddings, TextsRefusedError, TryAgainError } from './request.ts';
import type { RequestOptions } from './request.ts';
import { cutToTokens, estimateTokens, toBatches } from './tokens.ts';

export interface OpenAiEmbedderOptions extends RequestOptions {
  /** Texts of one request. Default 128. */
  readonly batchSize?: number;
  /** About how many tokens of one request. Default 100,000. */
  readonly batchTokens?: number;
  /** Longer texts are cut. Default 8,000: OpenAI's models take 8,191. */
  readonly maxInputTokens?: number;
  /** Times that one request is sent, at most. Default 4. */
  readonly attempts?: number;
  /** Longest pause before it is sent again; where the provider asks for more, nobody waits. Default 20,000. */
  readonly maxWaitMs?: number;
  /** Default: no limits. Closed by the caller. */
  readonly budget?: Budget;
  /** Told of what happens, for metrics and logs; never of a text or a key. */
  readonly onEvent?: (event: OpenAiEvent) => void;
}

export type OpenAiEvent =
  | { readonly type: 'answered'; readonly texts: number; readonly tokens: number; readonly ms: number }
  | { readonly type: 'tried_again'; readonly reason: string }
  | { readonly type: 'unavailable'; readonly reason: string; readonly trouble: string }
  /** The provider takes others, not this one: it gets no vector. */
  | { readonly type: 'text_refused'; readonly reason: string };

const firstPauseMs = 250;
/** After so many failures in a row, or one that says that the next would fail too, nobody asks again for so long. One slow answer is no outage. */
const restAfter = 3;
const restMs = 5_000;
/** A text that every model takes: tells a text that is refused from a request that always is. */
const probe = 'lamp';

/**
 * Embeds by `POST <baseUrl>/embeddings`, as OpenAI documents it and many others offer it: in batches, one after another, each within the
 * budget and tried again where that may help. Rejects as a whole with EmbeddingUnavailableError; what was embedded before is paid and lost.
 * While it is known to fail calls reject at once, for five seconds at a time.
 */
export function createOpenAiEmbedder(options: OpenAiEmbedderOptions): EmbedTexts {
  const { batchSize = 128, batchTokens = 100_000, maxInputTokens = 8_000, onEvent = () => undefined } = options;
  const send = createSend(options);
  let resting: { readonly untilMs: number; readonly error: EmbeddingUnavailableError } | undefined;
  let failures = 0;

  const ask = async (texts: readonly string[]): Promise<readonly Float32Array[]> => {
    const estimated = texts.reduce((sum, text) => sum + estimateTokens(text), 0);
    const startMs = performance.now();
    const { vectors, tokens = estimated } = await send(texts, estimated);
    failures = 0;
    onEvent({ type: 'answered', texts: texts.length, tokens, ms: performance.now() - startMs });
    return vectors;
  };
  /** Halves what is refused until the culprit stands alone. */
  const askOrSplit = async (texts: readonly string[]): Promise<readonly (Float32Array | undefined)[]> => {
    try {
      return await ask(texts);
    } catch (error) {
      if (!(error instanceof TextsRefusedError)) throw error;
      if (texts.length > 1) {
        const half = Math.ceil(texts.length / 2);
        return [...(await askOrSplit(texts.slice(0, half))), ...(await askOrSplit(texts.slice(half)))];
      }
      await ask([probe]);
      onEvent({ type: 'text_refused', reason: error.message });
      return [undefined];
    }
  };
  const rest = (error: unknown): Error => {
    const unavailable = toUnavailable(error);
    failures += 1;
    const isKnown = unavailable.trouble !== 'away' || (error instanceof TryAgainError && error.waitMs !== undefined);
    if (isKnown || failures >= restAfter) resting = { untilMs: performance.now() + Math.min(unavailable.retryAfterMs, restMs), error: unavailable };
    onEvent({ type: 'unavailable', reason: unavailable.message, trouble: unavailable.trouble });
    return unavailable;
  };
  return async (texts) => {
    if (resting !== undefined && performance.now() < resting.untilMs) throw resting.error;
    resting = undefined;
    // A text without a letter is nothing to embed: providers refuse it.
    const wanted = texts.flatMap((text, at) => (text.trim() === '' ? [] : [{ at, text: cutToTokens(text, maxInputTokens) }]));
    const vectors: (Float32Array | undefined)[] = Array.from({ length: texts.length });
    try {
      let next = 0;
      for (const batch of toBatches(wanted.map(({ text }) => text), { batchSize, batchTokens })) {
        for (const vector of await askOrSplit(batch)) {
          const place = wanted[next++]?.at;
          if (place !== undefined) vectors[place] = vector;
        }
      }
      return vectors;
    } catch (error) {
      throw rest(error);
    }
  };
}

function toUnavailable(error: unknown): EmbeddingUnavailableError {
  if (error instanceof EmbeddingUnavailableError) return error;
  if (error instanceof TryAgainError) return new EmbeddingUnavailableError(`embeddings are not available: ${error.message}`, { trouble: 'away', retryAfterMs: error.waitMs ?? restMs, cause: error });
  if (error instanceof TextsRefusedError) return new EmbeddingUnavailableError(`${error.message}: it refuses every text, so look at OPENAI_EMBEDDING_MODEL, VECTOR_DIMENSION and OPENAI_SEND_DIMENSIONS`, { trouble: 'refused', cause: error });
  throw error;
}

/** One request with its retries; each of them is taken from the budget and settled by itself, whatever comes of it. */
function createSend({ attempts = 4, maxWaitMs = 20_000, budget = unlimitedBudget, onEvent, ...request }: OpenAiEmbedderOptions): (texts: readonly string[], tokens: number) => ReturnType<typeof requestEmbeddings> {
  const isWorthIt = (error: unknown): boolean => error instanceof TryAgainError && (error.waitMs ?? 0) <= maxWaitMs;
  const backoff = new DelegateBackoff<{ readonly attempt: number; readonly result: object }>(({ attempt, result }) => {
    const asked = 'error' in result && result.error instanceof TryAgainError ? result.error.waitMs : undefined;
    // Full jitter, so that instances do not come back in step.
    return asked ?? Math.min(maxWaitMs, firstPauseMs * 2 ** (attempt - 1) * (0.5 + Math.random() / 2));
  });
  const policy = retry(handleWhen(isWorthIt), { maxAttempts: attempts - 1, backoff });
  policy.onRetry((reason) => onEvent?.({ type: 'tried_again', reason: 'error' in reason && reason.error instanceof Error ? reason.error.message : 'no answer' }));
  return (texts, tokens) =>
    policy.execute(async () => {
      const reservation = await budget.take(tokens);
      return requestEmbeddings(request, texts, (spent) => reservation.settle(spent));
    });
}
