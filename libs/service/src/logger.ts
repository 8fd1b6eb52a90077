import { pino } from 'pino';
import type { Logger } from 'pino';

export type { Logger };

/** JSON lines on standard output. Secrets and personal data never get in: these paths are cut out as a second line of defence. */
export function createLogger(name: string, level: string): Logger {
  return pino({
    name,
    level,
    base: { service: name },
    redact: { paths: ['req.headers', 'headers', '*.password', '*.token', '*.apiKey', '*.authorization', 'user_id', 'isdn'], censor: '[masked]' },
    timestamp: pino.stdTimeFunctions.isoTime,
  });
}
