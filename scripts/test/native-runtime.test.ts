import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { root } from '../local/paths.ts';

const files = {
  'helper.ts': 'let calls = 0;\nexport const count = (): number => (calls += 1);\n',
  // The largest is the first.
  'first.test.ts': `
    import { expect, it, jest } from '@jest/globals';
    import { count } from './helper.ts';
    jest.setTimeout(50);
    it('has the helper to itself', () => expect(count()).toBe(1));
    it('is wrong', () => expect({ a: 1 }).toEqual({ a: 2 }));
    it('throws', async () => { throw new Error('thrown'); });
    it('has no end', () => new Promise(() => undefined));
    it('leaves timers and the console changed', () => { jest.useFakeTimers(); globalThis.console = Object.create(console); });
    it.skip('is skipped', () => undefined);`,
  'second.test.ts': `
    import { expect, it } from '@jest/globals';
    import { count } from './helper.ts';
    it('has the helper to itself', () => expect(count()).toBe(1));
    it('has the usual time limit and real timers', () => new Promise((done) => setTimeout(done, 60)));`,
  'third.test.ts': `
    import { beforeAll, it } from '@jest/globals';
    beforeAll(() => { throw new Error('thrown'); });
    it('cannot begin', () => undefined);`,
  'fourth.test.ts': `throw new Error('thrown');`,
};
const reportSchema = z.object({ success: z.boolean(), testResults: z.array(z.object({ name: z.string(), status: z.string(), assertionResults: z.array(z.object({ title: z.string(), status: z.string() })) })) });

describe('a test file in Node itself', () => {
  let folder: string;
  let report: z.output<typeof reportSchema>;
  beforeAll(async () => {
    mkdirSync(join(root, 'dist'), { recursive: true });
    folder = mkdtempSync(join(root, 'dist', 'jest-'));
    mkdirSync(join(folder, 'test'));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'test', name), text);
    const jest = [join(root, 'node_modules/jest/bin/jest.js'), `--config=${join(root, 'jest.config.mjs')}`, `--rootDir=${folder}`, `--roots=${folder}`, '--modulePathIgnorePatterns=none', '--runInBand', '--json', `--outputFile=${join(folder, 'report.json')}`];
    // It fails: that is what is looked at.
    await promisify(execFile)(process.execPath, jest, { cwd: root }).catch(() => undefined);
    report = reportSchema.parse(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const results = (file: keyof typeof files) => report.testResults.filter(({ name }) => name.endsWith(`/${file}`)).flatMap(({ status, assertionResults }) => [status, ...assertionResults.map((one) => `${one.title}: ${one.status}`)]);

  it('fails where an expectation, the test, a hook or the file itself fails, or the time is over', () => {
    expect(report.success).toBe(false);
    expect(results('first.test.ts')).toEqual(['failed', 'has the helper to itself: passed', 'is wrong: failed', 'throws: failed', 'has no end: failed', 'leaves timers and the console changed: passed', 'is skipped: pending']);
    expect(results('third.test.ts')).toEqual(['failed', 'cannot begin: failed']);
    expect(results('fourth.test.ts')).toEqual(['failed']);
  });

  it('has nothing of the file before it: neither what is in test folders, nor its time limit, timers or console', () => {
    expect(results('second.test.ts')).toEqual(['passed', 'has the helper to itself: passed', 'has the usual time limit and real timers: passed']);
  });
});
