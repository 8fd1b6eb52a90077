import { describe, expect, it } from '@jest/globals';
import { run } from '../src/run.ts';

describe('millrace, called wrongly', () => {
  it.each([
    ['a file that is not there', ['import', 'nowhere.csv'], 'is not a file'],
    ['a name that does not tell the format', ['import', 'package.json'], '--format'],
    ['an unknown command', ['fly'], "unknown command 'fly'"],
    ['a missing argument', ['import'], "missing required argument 'file'"],
    ['a count that is none', ['sample', '--count', 'many'], '--count'],
    ['an ISDN that is none, by its place', ['ut360', 'erase', '0912345678', 'short'], 'ISDN 2 of 2 is neither'],
    ['ISDNs and standard input at once', ['ut360', 'erase', '-', '0912345678'], 'not both'],
    ['a subscriber to erase and no stores', ['ut360', 'erase', '0912345678'], 'no stores'],
    ['nothing to replay', ['dlq', 'replay'], 'say which ones'],
  ])('exits 2 with a sentence for %s', async (_what, args, sentence) => {
    const lines: string[] = [];
    const code = await run(['node', 'millrace', ...args], { MILLRACE_URL: 'http://127.0.0.1:1', MILLRACE_API_KEY: 'mr_test' }, { print: () => undefined, printError: (line) => void lines.push(line) });
    expect([code, lines.join('\n')]).toEqual([2, expect.stringContaining(sentence)]);
  });
});
