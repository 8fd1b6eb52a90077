import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { addCounts, readJestReport } from '../local/jest-report.ts';
import { root } from '../local/paths.ts';

describe('the report of a test run', () => {
  let file = '';
  beforeEach(() => {
    file = join(mkdtempSync(join(tmpdir(), 'millrace-report-')), 'jest.json');
  });
  afterEach(() => rmSync(join(file, '..'), { recursive: true }));
  const write = (testResults: unknown): void => writeFileSync(file, JSON.stringify({ testResults }));
  const test = (status: string, ...ancestorTitles: string[]): unknown => ({ status, ancestorTitles });

  it('counts each test, and names the server that a skipped suite lacked', () => {
    const skipped = 'Qdrant satisfies the contract (skipped: no qdrant, TEST_QDRANT_URL is not set)';
    write([
      { name: join(root, 'libs/a/test/a.test.ts'), status: 'passed', assertionResults: [test('passed'), test('pending', skipped), test('pending', skipped)] },
      { name: join(root, 'libs/b/test/b.test.ts'), status: 'failed', assertionResults: [test('failed'), test('passed')] },
    ]);
    expect(readJestReport(file)).toEqual({ passed: 2, failed: 1, skipped: 2, absent: ['skipped (no qdrant): libs/a/test/a.test.ts (2)'] });
  });

  it('counts a file that could not be loaded as a failure', () => {
    write([{ name: 'x.test.ts', status: 'failed', assertionResults: [] }]);
    expect(readJestReport(file)).toMatchObject({ passed: 0, failed: 1 });
  });

  it('counts a run without a report as a failure', () => {
    expect(readJestReport(join(file, 'none'))).toMatchObject({ passed: 0, failed: 1 });
  });

  it('of runs side by side is their sum', () => {
    expect(addCounts([{ passed: 3, failed: 0, skipped: 1, absent: ['a'] }, { passed: 1, failed: 2, skipped: 0, absent: ['b'] }])).toEqual({ passed: 4, failed: 2, skipped: 1, absent: ['a', 'b'] });
  });
});
