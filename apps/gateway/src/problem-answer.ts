import { toProblem } from '@millrace/http';
import type { AppError } from '@millrace/service';
import type { Answer } from './policy.ts';

/** A refusal as a whole answer. Unlike one that is thrown it is not logged: for what thousands of calls get in a second. */
export function problemAnswer(error: AppError, requestId: string): Answer {
  const problem = toProblem(error, requestId);
  const own = Object.fromEntries(Object.entries(error.headers).map(([name, value]) => [name.toLowerCase(), value]));
  return { status: problem.status, headers: { 'content-type': 'application/problem+json; charset=utf-8', ...own }, body: Buffer.from(JSON.stringify(problem)) };
}
