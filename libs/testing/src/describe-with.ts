// oxlint-disable jest/valid-title, jest/valid-describe-callback, jest/no-disabled-tests -- this is the one place that makes suites for others
import { describe } from '@jest/globals';
import { serverVariables } from './servers.ts';
import type { TestServer } from './servers.ts';

/** describe, or a skip that names the missing server. Only for servers that a bare machine does not have. */
export function describeWith(server: Exclude<TestServer, 'postgres' | 'redis'>, title: string, body: () => void): void {
  if (process.env[serverVariables[server]]) describe(title, body);
  else describe.skip(`${title} (skipped: no ${server}, ${serverVariables[server]} is not set)`, body);
}
