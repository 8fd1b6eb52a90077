import { api, boundaries, lint, lock, report } from '../local/checks.ts';

/** npm run lint [-- PATH…]: oxlint with types, module boundaries, the lock, changes of the API. */
export async function run(args: readonly string[]): Promise<number> {
  const checks = [await lint(args), ...(await Promise.all([boundaries(), lock(), api()]))];
  for (const check of checks) report(check);
  return checks.every(({ ok }) => ok) ? 0 : 1;
}
