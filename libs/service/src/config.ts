import type { z } from 'zod';
import { withFallbacks } from './env-fallbacks.ts';

/** Some variables are missing or wrong. The message names all of them and never a value (it may be a secret). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Parses the environment by the service's schema: every bad variable is reported at once. */
export function loadConfig<S extends z.ZodType>(schema: S, env: Readonly<Record<string, string | undefined>>): z.output<S> {
  const parsed = schema.safeParse(withFallbacks(env));
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.') || 'environment'}: ${withoutValue(issue.message)}`);
  throw new ConfigError(`the configuration has ${lines.length} problem${lines.length === 1 ? '' : 's'}:\n${lines.join('\n')}`);
}

/** zod quotes some received values; a secret must not reach the log. */
const withoutValue = (message: string): string => message.replace(/, received .*$/s, '');
