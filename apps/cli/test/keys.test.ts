import { describe, expect, it } from '@jest/globals';
import { createProgram } from '../src/program.ts';
import { UsageError } from '../src/usage-error.ts';

/** Nothing listens there: whatever gets that far fails in another way. */
const run = (...args: readonly string[]): Promise<unknown> =>
  createProgram({ config: { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing', UT360_KEEP_GENERATIONS: 1, MILLRACE_ROLES_FILE: '' }, env: {}, print: () => undefined, printError: () => undefined }).parseAsync(['keys', 'create', '--name', 'shop', ...args], { from: 'user' });

describe('millrace keys create', () => {
  it.each([
    ['neither scopes nor --publishable', [], '--publishable --origin'],
    ['an unknown scope', ['--scopes', 'events:write,everything'], 'everything is not a scope'],
    ['both scopes and --publishable', ['--publishable', '--scopes', 'events:write', '--origin', 'https://a.example'], 'leave --scopes out'],
    ['an origin for a secret key', ['--scopes', 'events:write', '--origin', 'https://a.example'], 'add --publishable'],
    ['types of events for a secret key', ['--scopes', 'events:write', '--event-types', 'view'], 'add --publishable'],
    ['no origin', ['--publishable'], 'at least one --origin'],
    ['an origin with a path', ['--publishable', '--origin', 'https://a.example/shop'], 'write https://a.example'],
    ['an origin with a slash at its end', ['--publishable', '--origin', 'https://a.example/'], 'write https://a.example'],
    ['an origin with the port that is understood', ['--publishable', '--origin', 'https://a.example:443'], 'write https://a.example'],
    ['an origin in capitals', ['--publishable', '--origin', 'https://A.example'], 'write https://a.example'],
    ['an origin without a scheme', ['--publishable', '--origin', 'a.example'], 'such as https://shop.example'],
    ['every origin', ['--publishable', '--origin', '*'], 'such as https://shop.example'],
    ['every host of a domain', ['--publishable', '--origin', 'https://*.shop.example'], 'one --origin for each'],
    ['the origin of files', ['--publishable', '--origin', 'null'], 'such as https://shop.example'],
    ['two origins in one', ['--publishable', '--origin', 'https://a.example,https://b.example'], 'write scheme and host'],
    ['an unknown type of event', ['--publishable', '--origin', 'https://a.example', '--event-types', 'view,look'], 'look is not a type of event'],
    ['no type of event', ['--publishable', '--origin', 'https://a.example', '--event-types', ''], 'is not a type of event'],
  ])('refuses %s with a sentence, before it asks the database', async (_what, args, sentence) => {
    const failure: unknown = await run(...args).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UsageError);
    expect(String(failure)).toContain(sentence);
  });
});
