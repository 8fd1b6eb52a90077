import { report, types } from '../local/checks.ts';

/** npm run typecheck [-- PROJECT] */
export async function run([project]: readonly string[]): Promise<number> {
  const check = await types(project);
  report(check);
  return check.ok ? 0 : 1;
}
