// A lock that lacks some platforms' binaries installs here and breaks on another machine: npm ci refuses it, or a binary is missing.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const lockSchema = z.object({
  packages: z.record(z.string(), z.looseObject({ optionalDependencies: z.record(z.string(), z.string()).default({}), resolved: z.string().optional() })),
});
type Packages = z.output<typeof lockSchema>['packages'];

/** Node's own look-up: in the package's node_modules, then in each one above it. */
function isLocked(packages: Packages, from: string, name: string): boolean {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (packages[at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`]) return true;
    if (at === '') return false;
  }
}

function problemsOf(file: string): string[] {
  const { packages } = lockSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  return Object.entries(packages).flatMap(([path, entry]) => {
    const missing = Object.keys(entry.optionalDependencies).filter((name) => !isLocked(packages, path, name));
    const address = entry.resolved !== undefined && /^https?:/.test(entry.resolved) ? [`${path} names a registry`] : [];
    return [...missing.map((name) => `${path || 'the root'} needs the optional ${name}, which the lock does not hold`), ...address];
  });
}

/** What is wrong with the repository's locks: an optional (platform) package that they do not hold, or a registry's address. */
export function findLockProblems(dir: string): string[] {
  const files = ['package-lock.json', 'tools/node/package-lock.json'].map((file) => join(dir, file));
  return files.filter((file) => existsSync(file)).flatMap((file) => problemsOf(file).map((problem) => `${file.slice(dir.length + 1)}: ${problem}`));
}

if (import.meta.main) {
  const problems = findLockProblems(join(import.meta.dirname, '..'));
  for (const problem of problems) console.error(problem);
  console.log(`${problems.length} lock problems`);
  process.exit(problems.length === 0 ? 0 : 1);
}
