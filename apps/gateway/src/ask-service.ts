import { problemSchema } from '@millrace/contracts';
import { errorStatuses } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { ErrorCode, IdentitySigner } from '@millrace/service';
import type { z } from 'zod';
import { isTimeout } from './proxy.ts';

/** Services that answer the gateway on their second port. */
export type InternalService = 'catalog-api' | 'es-sync-worker' | 'embedding-worker';

export interface AskOptions {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: unknown;
  /** Default 5 s. */
  readonly timeoutMs?: number;
  /** Who asks: the service checks the scopes again. */
  readonly caller: { readonly subject: string; readonly scopes: readonly string[] };
}

export interface ServiceClient {
  /**
   * Asks a service on its second port and parses the answer.
   * @throws AppError with the service's own code and sentence where it refuses; upstream_unavailable and upstream_timeout where it cannot be asked
   */
  readonly ask: <S extends z.ZodType>(service: InternalService, path: string, schema: S, options: AskOptions) => Promise<z.output<S>>;
}

export interface ServiceClientDeps {
  readonly signer: IdentitySigner;
  /** Address of each second port. */
  readonly addresses: Readonly<Record<InternalService, string>>;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const AGAIN_LATER = { headers: { 'Retry-After': '1' } };

const isErrorCode = (code: string): code is ErrorCode => code in errorStatuses;

/** What the service said, in its own words; its own 500 is ours to report as an upstream that failed, and so is its 401: the caller's key was right. */
function refusalOf(service: InternalService, status: number, body: unknown): AppError {
  const problem = problemSchema.safeParse(body);
  if (!problem.success || !isErrorCode(problem.data.code) || status >= 500 || status === 401) return new AppError('upstream_unavailable', `${service} answered ${status}`, AGAIN_LATER);
  return new AppError(problem.data.code, problem.data.detail, { details: problem.data.errors ?? [] });
}

export function createServiceClient({ signer, addresses }: ServiceClientDeps): ServiceClient {
  return {
    ask: async (service, path, schema, { method = 'GET', body, timeoutMs = DEFAULT_TIMEOUT_MS, caller }) => {
      const token = await signer.sign(service, caller);
      const headers = { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) };
      let answer: Response;
      let said: unknown;
      try {
        answer = await fetch(new URL(path, addresses[service]), { method, headers, signal: AbortSignal.timeout(timeoutMs), ...(body !== undefined && { body: JSON.stringify(body) }) });
        said = await answer.json();
      } catch (error) {
        if (isTimeout(error)) throw new AppError('upstream_timeout', `${service} did not answer within ${timeoutMs / 1_000} s`, { cause: error, ...AGAIN_LATER });
        throw new AppError('upstream_unavailable', `${service} cannot be reached now`, { cause: error, ...AGAIN_LATER });
      }
      if (!answer.ok) throw refusalOf(service, answer.status, said);
      const parsed = schema.safeParse(said);
      if (!parsed.success) throw new AppError('upstream_unavailable', `${service} answered in a form that this gateway does not know: is it of another version?`, { cause: parsed.error, ...AGAIN_LATER });
      return parsed.data;
    },
  };
}
