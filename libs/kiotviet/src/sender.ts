import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, ExponentialBackoff, circuitBreaker, handleWhen, retry, wrap } from 'cockatiel';
import { z } from 'zod';
import type { AccessTokens } from './access-tokens.ts';
import type { Asker, Budget } from './budget.ts';
import { isPosDown, isPosError, posBadAnswer, posQuota, posRefused, posUnauthorized, posUnavailable } from './errors.ts';
import type { HttpAnswer, PosHttp } from './http.ts';

export interface SenderDeps {
  readonly http: PosHttp;
  readonly tokens: AccessTokens;
  readonly budget: Budget;
  /** Of the API: https://public.kiotapi.com */
  readonly baseUrl: string;
  readonly retailer: string;
  readonly logger: Pick<Logger, 'warn'>;
  /** A request by endpoint and how it ended: "ok", "cached", or a code. */
  readonly onEvent?: (endpoint: string, outcome: string) => void;
  /** How long the POS is left alone after five failures in a row; default 10 s. */
  readonly halfOpenMs?: number;
}

export type Params = Readonly<Record<string, string | number | boolean>>;

export interface Connection {
  /** `failing`: the last request failed; `left_alone`: after five in a row; `unknown`: none was made yet. By this instance. */
  readonly state: 'unknown' | 'ok' | 'failing' | 'left_alone';
  readonly lastSuccessAt: string | null;
  readonly lastFailure: { readonly code: string; readonly at: string } | null;
}

export interface Sender {
  /** Text of a good answer, undefined for 404. Rejects with a pos error, or unavailable where Redis cannot count the call. */
  get(endpoint: string, path: string, params: Params, asker: Asker): Promise<string | undefined>;
  /** An answer that came well and cannot be read. */
  unreadable(endpoint: string, why: string): AppError;
  connection(): Connection;
}

const FAILURES = 5;
const DEFAULT_RETRY_AFTER_MS = 60_000;
const errorCodeSchema = z.object({ responseStatus: z.object({ errorCode: z.string().regex(/^\w{1,60}$/) }) });

function errorCodeOf(text: string): string | undefined {
  try {
    return errorCodeSchema.safeParse(JSON.parse(text)).data?.responseStatus.errorCode;
  } catch {
    return undefined;
  }
}

/** The text of a good answer; undefined for 404. */
function readAnswer({ status, text }: HttpAnswer): string | undefined {
  if (status >= 200 && status < 300) return text;
  if (status === 404) return undefined;
  if (status >= 500) throw posUnavailable(`it answered ${status}`);
  if (status === 403) throw posUnauthorized('it answered 403');
  if (status >= 300 && status < 400) throw posBadAnswer(`it leads elsewhere (${status})`);
  throw posRefused(status, errorCodeOf(text));
}

function createConnection(): { readonly ended: (error?: unknown) => void; readonly now: (isLeftAlone: boolean) => Connection } {
  let lastSuccessAt: string | null = null;
  let lastFailure: Connection['lastFailure'] = null;
  let isFailing = false;
  return {
    ended(error) {
      isFailing = error !== undefined;
      if (error === undefined) lastSuccessAt = new Date().toISOString();
      else lastFailure = { code: error instanceof AppError ? error.code : 'internal', at: new Date().toISOString() };
    },
    now(isLeftAlone) {
      const seen = lastSuccessAt === null && lastFailure === null ? 'unknown' : isFailing ? 'failing' : 'ok';
      return { state: isLeftAlone ? 'left_alone' : seen, lastSuccessAt, lastFailure };
    },
  };
}

/**
 * Sends reads. Each one is counted before it is sent; one that failed because the POS was down or late is sent once more (and counted), five failures in a
 * row and it is left alone for a while, one refused token is replaced. Nothing of an answer or of its parameters is logged.
 */
export function createSender({ http, tokens, budget, baseUrl, retailer, logger, onEvent = () => undefined, halfOpenMs = 10_000 }: SenderDeps): Sender {
  const connection = createConnection();
  const breaker = circuitBreaker(handleWhen(isPosDown), { halfOpenAfter: halfOpenMs, breaker: new ConsecutiveBreaker(FAILURES) });
  const policy = wrap(retry(handleWhen(isPosDown), { maxAttempts: 1, backoff: new ExponentialBackoff({ initialDelay: 100, maxDelay: 500 }) }), breaker);

  const sendOnce = async (url: URL, asker: Asker, token: string): Promise<HttpAnswer> => {
    const taken = await budget.take(asker).catch((cause: unknown) => {
      throw new AppError('unavailable', 'calls of the point of sale are counted in Redis, which cannot be asked now', { cause, headers: { 'Retry-After': '2' } });
    });
    if (!taken.isAllowed) throw posQuota(taken.waitMs, taken.isOwn ? 'share' : 'budget');
    const answer = await http.send({ method: 'GET', url, headers: { authorization: `Bearer ${token}`, retailer } });
    if (answer.status !== 429) return answer;
    const retryAfterMs = answer.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS;
    await budget.refused(retryAfterMs).catch((err: unknown) => logger.warn({ err }, 'what the point of sale said of its limit could not be kept'));
    throw posQuota(retryAfterMs, 'pos');
  };
  const authorized = async (url: URL, asker: Asker): Promise<string | undefined> => {
    const token = await tokens.get();
    const answer = await sendOnce(url, asker, token);
    if (answer.status !== 401) return readAnswer(answer);
    const again = await sendOnce(url, asker, await tokens.get(token));
    if (again.status === 401) throw posUnauthorized('it answered 401 to a new token');
    return readAnswer(again);
  };
  const get: Sender['get'] = async (endpoint, path, params, asker) => {
    const url = new URL(baseUrl.replace(/\/$/, '') + path);
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, String(value));
    try {
      const text = await policy.execute(() => authorized(url, asker));
      connection.ended();
      onEvent(endpoint, 'ok');
      return text;
    } catch (cause) {
      const error = cause instanceof BrokenCircuitError ? posUnavailable('it failed five times in a row and is left alone for a while', undefined, halfOpenMs) : cause;
      // A budget that is used up says nothing of the POS.
      if (isPosError(error) && error.code !== 'pos_quota') connection.ended(error);
      onEvent(endpoint, error instanceof AppError ? error.code : 'internal');
      throw error;
    }
  };
  return {
    get,
    unreadable(endpoint, why) {
      const error = posBadAnswer(why);
      connection.ended(error);
      onEvent(endpoint, error.code);
      return error;
    },
    connection: () => connection.now(breaker.state === CircuitState.Open),
  };
}
