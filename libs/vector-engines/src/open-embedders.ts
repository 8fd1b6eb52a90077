import { EmbeddingUnavailableError } from '@millrace/embedding';
import type { EmbedTexts, OpenRemoteEmbedder } from '@millrace/embedding';
import type { embeddingServiceVariables, Logger } from '@millrace/service';
import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { z } from 'zod';

export type EmbeddingServiceConfig = z.output<z.ZodObject<typeof embeddingServiceVariables>>;

export interface OpenRemoteEmbeddersDeps {
  readonly config: EmbeddingServiceConfig;
  /** Counts the budget for all instances. */
  readonly redisUrl: string;
  /** Who spends it: instances of one service share their budget. */
  readonly service: string;
  readonly timeoutMs: number;
  /** Times that one request is sent, at most. */
  readonly attempts: number;
  readonly batchSize: number;
  /** A budget of a minute that is used up is waited for so long. */
  readonly budgetWaitMs: number;
  readonly logger: Pick<Logger, 'warn'>;
  readonly metrics: Registry;
}

export interface RemoteEmbedders {
  /** Loads the client when the first such model is met. */
  readonly open: OpenRemoteEmbedder;
  close(): Promise<void>;
}

const isOpenAi = (url: string): boolean => new URL(url).hostname.endsWith('openai.com');

const notConfigured = (model: string): EmbedTexts => async () => {
  throw new EmbeddingUnavailableError(`the live vectors are of the model ${model}: set OPENAI_API_KEY, or OPENAI_BASE_URL to a service that needs none`, { trouble: 'not_configured' });
};

function createMetrics(registry: Registry) {
  const requests = new Counter({ name: 'embedding_requests_total', help: 'Requests for embeddings, by what came of them', labelNames: ['result'], registers: [registry] });
  const tokens = new Counter({ name: 'embedding_tokens_total', help: 'Tokens that the provider counted', registers: [registry] });
  const seconds = new Histogram({ name: 'embedding_request_seconds', help: 'Time of answered requests, with their retries', buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30], registers: [registry] });
  return { requests, tokens, seconds };
}

/** Embedders of models that a service computes. Nothing is connected before one is needed. */
export function openRemoteEmbedders({ config, redisUrl, service, timeoutMs, attempts, batchSize, budgetWaitMs, logger, metrics }: OpenRemoteEmbeddersDeps): RemoteEmbedders {
  const { requests, tokens, seconds } = createMetrics(metrics);
  const { EMBEDDING_TOKENS_PER_MINUTE: tokensPerMinute, EMBEDDING_TOKENS_PER_DAY: tokensPerDay, EMBEDDING_REQUESTS_PER_MINUTE: requestsPerMinute, EMBEDDING_REQUESTS_PER_DAY: requestsPerDay } = config;
  const limits = { ...(tokensPerMinute !== undefined && { tokensPerMinute }), ...(tokensPerDay !== undefined && { tokensPerDay }), ...(requestsPerMinute !== undefined && { requestsPerMinute }), ...(requestsPerDay !== undefined && { requestsPerDay }) };
  const hasLimits = Object.keys(limits).length > 0;
  let loading: Promise<{ readonly open: OpenRemoteEmbedder; readonly close: () => Promise<void> }> | undefined;

  const load = async () => {
    const { createOpenAiEmbedder, createRedisBudget, unlimitedBudget } = await import('@millrace/embedding-openai');
    const budget = hasLimits ? createRedisBudget({ url: redisUrl, name: service, waitMs: budgetWaitMs, ...limits }) : unlimitedBudget;
    const open: OpenRemoteEmbedder = async ({ model, dimensions }): Promise<EmbedTexts> =>
      createOpenAiEmbedder({
        baseUrl: config.OPENAI_BASE_URL, model, dimensions, sendDimensions: config.OPENAI_SEND_DIMENSIONS, maxInputTokens: config.OPENAI_MAX_INPUT_TOKENS, timeoutMs, attempts, batchSize, budget,
        batchTokens: Math.min(100_000, tokensPerMinute ?? Infinity, tokensPerDay ?? Infinity),
        ...(config.OPENAI_API_KEY !== undefined && { apiKey: config.OPENAI_API_KEY }),
        onEvent: (event) => {
          requests.inc({ result: event.type === 'unavailable' ? event.trouble : event.type });
          if (event.type === 'answered') {
            tokens.inc(event.tokens);
            seconds.observe(event.ms / 1_000);
          } else logger.warn({ provider: new URL(config.OPENAI_BASE_URL).host, model, reason: event.reason }, event.type === 'text_refused' ? 'a text is refused, its product gets no vector' : 'embeddings are not answered');
        },
      });
    return { open, close: () => budget.close() };
  };
  return {
    open: async (model) => {
      // Opens all the same: deletes and prices need no model.
      if (config.OPENAI_API_KEY === undefined && isOpenAi(config.OPENAI_BASE_URL)) return notConfigured(model.model);
      loading ??= load();
      return (await loading).open(model);
    },
    close: async () => (await loading)?.close(),
  };
}
