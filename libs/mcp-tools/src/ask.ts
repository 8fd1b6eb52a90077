import { ProblemError } from '@millrace/client';
import type { Answer } from '@millrace/client';
import type { Origin } from './tool.ts';

export interface Asked<T> {
  readonly data: T;
  readonly origin: Origin;
}

/** Answers may come from a cache: RFC 9111, 5.1. */
export function originOf(source: string, { response }: Pick<Answer<unknown>, 'response'>): Origin {
  const age = Number(response.headers.get('age') ?? 0);
  const ageSeconds = Number.isFinite(age) && age > 0 ? age : 0;
  return { source, ageSeconds, asOf: new Date(Date.now() - ageSeconds * 1_000).toISOString() };
}

/** One call of the API and where its answer came from. Throws as the client does; an answer without a body is a bug. */
export async function ask<T>(source: string, call: Promise<Answer<T | undefined>>): Promise<Asked<T>> {
  const answer = await call;
  if (answer.data === undefined) throw new Error(`${source} answered nothing`);
  return { data: answer.data, origin: originOf(source, answer) };
}

/** undefined where there is no such thing. */
export async function askOptional<T>(source: string, call: Promise<Answer<T | undefined>>): Promise<Asked<T> | undefined> {
  try {
    return await ask(source, call);
  } catch (error) {
    if (error instanceof ProblemError && error.problem.status === 404) return undefined;
    throw error;
  }
}

/** Of several answers: what the oldest one says. */
export function oldestOf(source: string, origins: readonly Origin[]): Origin {
  const ageSeconds = Math.max(0, ...origins.map((origin) => origin.ageSeconds));
  return { source, ageSeconds, asOf: new Date(Date.now() - ageSeconds * 1_000).toISOString() };
}

/** Asks past the gateway's cache. */
export const NOT_CACHED = { 'cache-control': 'no-cache' };
