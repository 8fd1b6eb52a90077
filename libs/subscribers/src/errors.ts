/** A load that must not go on: what was given is wrong, or too much of it. The message is a sentence for whoever started it; nothing was changed. */
export class LoadRefusedError extends Error {
  override readonly name = 'LoadRefusedError';
}

/** Another load has the lock, or Redis has no room for one more generation: nothing was changed, the same may work later. */
export class LoadNotPossibleError extends Error {
  override readonly name: string = 'LoadNotPossibleError';
}

/** There is no UT360_ERASURE_SECRET, or another one than subscribers were erased under: going on could bring them back. Nothing was changed. */
export class ErasureSecretError extends LoadNotPossibleError {
  override readonly name: string = 'ErasureSecretError';
}

const BROKEN_CONNECTION = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);
/** Classes of SQLSTATE: 08 connection, 53 resources (disk, memory, connections), 57P an operator or a restart, 58 the system below. */
const POSTGRES_UNABLE = /^(?:08...|53...|57P..|58...)$/;
const POSTGRES_AWAY = /^(?:Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout)/;
const REDIS_AWAY = /^(?:Connection is closed|Reached the max retries|the connection to Redis broke off|Redis did not answer|Failed to refresh slots|None of startup nodes|Cluster isn't ready|Command timed out|no master is known)/;
const REDIS_UNABLE = /^(?:MISCONF|READONLY|LOADING|CLUSTERDOWN|MASTERDOWN|MOVED|TRYAGAIN|NOAUTH|WRONGPASS|NOPERM|OOM) /;

/** Not every error of Node is of this realm (Error of a worker, of a test). */
const textOf = (error: unknown, name: 'message' | 'code'): string => {
  const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
  return typeof value === 'string' ? value : '';
};

/** A store that is away, full or not able to work now, as LoadNotPossibleError with a sentence; everything else as it is. */
export function toNotPossible(error: unknown): unknown {
  const [message, code] = [textOf(error, 'message'), textOf(error, 'code')];
  const again = 'What was live is served on; run it again';
  if (REDIS_UNABLE.test(message)) return new LoadNotPossibleError(`Redis (UT360_REDIS_URL) refuses to work: ${message.slice(0, 200)}. ${again}`, { cause: error });
  if (POSTGRES_UNABLE.test(code)) return new LoadNotPossibleError(`Postgres cannot do it now: ${message.slice(0, 200)}. ${again}`, { cause: error });
  if (POSTGRES_AWAY.test(message)) return new LoadNotPossibleError(`the connection to Postgres broke off. ${again}`, { cause: error });
  if (REDIS_AWAY.test(message)) return new LoadNotPossibleError(`the connection to Redis (UT360_REDIS_URL) broke off. ${again}`, { cause: error });
  return BROKEN_CONNECTION.has(code) ? new LoadNotPossibleError(`a store cannot be reached: ${message.slice(0, 200) || code}. ${again}`, { cause: error }) : error;
}
