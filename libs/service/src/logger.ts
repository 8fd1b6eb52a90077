import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';

export type { Logger };

const SECRETS = ['password', 'token', 'apiKey', 'authorization', 'user_id', 'isdn'];
/** At the top and up to two levels down. */
const paths = ['req.headers', 'headers', ...SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])];

/** Structurally: errors may come from another realm. */
const isErrorLike = (value: unknown): value is Error => typeof value === 'object' && value !== null && 'stack' in value && 'message' in value;

/** ioredis hangs the refused command on its error, and Postgres the refused row (detail, where): there may be a password in it, or a telephone number. */
const HIDDEN = new Set(['command', 'raw', 'detail', 'where']);
function withoutCommand(error: unknown): unknown {
  const shown: unknown = isErrorLike(error) ? pino.stdSerializers.err(error) : error;
  if (typeof shown !== 'object' || shown === null) return shown;
  return Object.fromEntries(Object.entries(shown).filter(([name]) => !HIDDEN.has(name)));
}

/** JSON lines on standard output. Secrets and personal data never get in: these paths are cut out as a second line of defence. */
export function createLogger(name: string, level: string, destination: DestinationStream = pino.destination(1)): Logger {
  return pino({
    name,
    level,
    base: { service: name },
    redact: { paths, censor: '[masked]' },
    serializers: { err: withoutCommand },
    timestamp: pino.stdTimeFunctions.isoTime,
  }, destination);
}
