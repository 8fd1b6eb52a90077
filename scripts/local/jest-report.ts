import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { z } from 'zod';
import { root } from './paths.ts';

const jestReport = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      assertionResults: z.array(z.object({ ancestorTitles: z.array(z.string()), status: z.string() })),
    }),
  ),
});

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** One line for each server that was absent: which suites that skipped. */
  readonly absent: readonly string[];
}

/** A suite whose title says "(skipped: no <server>, …)" was skipped because that server is not here. */
const missingServer = (titles: readonly string[]): string | undefined => /\(skipped: no ([\w-]+),/.exec(titles.join(' '))?.[1];

/** Counts of a finished jest run. A file that could not even be loaded counts as one failure; no report at all, too. */
export function readJestReport(file: string): TestCounts {
  const parsed = jestReport.safeParse(readJson(file));
  if (!parsed.success) return { passed: 0, failed: 1, skipped: 0, absent: [] };
  const skippedBy = new Map<string, Map<string, number>>();
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { name, status, assertionResults } of parsed.data.testResults) {
    if (status === 'failed' && !assertionResults.some((test) => test.status === 'failed')) counts.failed += 1;
    for (const test of assertionResults) {
      if (test.status === 'passed') counts.passed += 1;
      else if (test.status === 'failed') counts.failed += 1;
      else {
        counts.skipped += 1;
        const why = missingServer(test.ancestorTitles) ?? 'other reasons, see the titles';
        const files = skippedBy.get(why) ?? new Map<string, number>();
        skippedBy.set(why, files.set(name, (files.get(name) ?? 0) + 1));
      }
    }
  }
  const absent = [...skippedBy].map(([why, files]) => `skipped (${why.includes(' ') ? why : `no ${why}`}): ${[...files].map(([name, count]) => `${relative(root, name)} (${count})`).join(', ')}`);
  return { ...counts, absent };
}

/** Of runs side by side. */
export const addCounts = (runs: readonly TestCounts[]): TestCounts => {
  const sum = (count: (run: TestCounts) => number): number => runs.reduce((all, run) => all + count(run), 0);
  return { passed: sum(({ passed }) => passed), failed: sum(({ failed }) => failed), skipped: sum(({ skipped }) => skipped), absent: runs.flatMap(({ absent }) => absent) };
};

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
