import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.ts';

/** MILLRACE_SHARED for a child: as it is set, else ../shared where that is there. Real data for tests and benchmarks live in it. */
export function sharedEnv(): Record<string, string> {
  const shared = join(root, '../shared');
  return process.env['MILLRACE_SHARED'] === undefined && existsSync(shared) ? { MILLRACE_SHARED: shared } : {};
}
