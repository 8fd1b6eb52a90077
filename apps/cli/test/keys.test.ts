import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { listAudit } from '@millrace/contracts';
import { ownerDatabase } from '../src/owner-database.ts';
import { createProgram } from '../src/program.ts';
import { UsageError } from '../src/usage-error.ts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';

/** Nothing listens there: whatever gets that far fails in another way. */
const run = (...args: readonly string[]): Promise<unknown> =>
  createProgram({ config: { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing', UT360_KEEP_GENERATIONS: 1, MILLRACE_ROLES_FILE: '' }, env: {}, print: () => undefined, printError: () => undefined }).parseAsync(['keys', 'create', '--name', 'shop', ...args], { from: 'user' });

describe('millrace keys create', () => {
  it.each([
    ['a name that steers terminals', ['--role', 'viewer', '--name', 'a\u001B[2J'], '--name must be'],
    ['no name', ['--role', 'viewer', '--name', ' '], '--name must be'],
    ['neither scopes nor --publishable', [], '--publishable --origin'],
    ['an unknown scope', ['--scopes', 'events:write,everything'], 'everything is not a scope'],
    ['an unknown role', ['--role', 'viewer,root'], 'root is not a role'],
    ['scopes and a role', ['--role', 'viewer', '--scopes', 'search:read'], 'exclude each other'],
    ['a role and --publishable', ['--publishable', '--role', 'viewer', '--origin', 'https://a.example'], 'leave --scopes and --role out'],
    ['a workspace of a wrong form', ['--role', 'viewer', '--workspace', 'A b'], 'is not a workspace'],
    ['an expiry that is no time', ['--role', 'viewer', '--expires', 'soon'], 'soon is not a time'],
    ['an expiry in the past', ['--publishable', '--origin', 'https://a.example', '--expires', '2020-01-01T00:00:00Z'], 'not in the future'],
    ['an expiry of no days', ['--role', 'viewer', '--expires', '0d'], 'not in the future'],
    ['both scopes and --publishable', ['--publishable', '--scopes', 'events:write', '--origin', 'https://a.example'], 'leave --scopes and --role out'],
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

describe('millrace keys rotate', () => {
  it.each(['', ' ', 'soon', '-1', '721'])('refuses --overlap %p: it would end secrets that are in use, or never', async (overlap) => {
    const config = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing', UT360_KEEP_GENERATIONS: 1, MILLRACE_ROLES_FILE: '' };
    const failure: unknown = await createProgram({ config, env: {}, print: () => undefined, printError: () => undefined }).parseAsync(['keys', 'rotate', 'key_1', '--overlap', overlap], { from: 'user' }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UsageError);
    expect(String(failure)).toContain('--overlap must be');
  });
});

describe('the database of keys', () => {
  it('is the configured one, else that of the local stack, where it runs one', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'millrace-stack-')), 'stack.json');
    expect(await ownerDatabase({ MILLRACE_STACK_FILE: file })).toBeUndefined();
    await writeFile(file, '{"gatewayUrl":"http://127.0.0.1:8080"}');
    expect(await ownerDatabase({ MILLRACE_STACK_FILE: file })).toBeUndefined();
    await writeFile(file, '{"ownerDatabaseUrl":"postgres://local"}');
    expect([await ownerDatabase({ MILLRACE_STACK_FILE: file }), await ownerDatabase({ MILLRACE_STACK_FILE: file, DATABASE_URL: 'postgres://own' })]).toEqual(['postgres://local', 'postgres://own']);
  });
});

describe('millrace audit', () => {
  it('asks for what is wanted, page by page, and prints no control characters', async () => {
    const entry = { ...listAudit.responses[200].example.data[0], path: '/api/x\u001B[2J' };
    const gateway = await startFakeGateway(() => ({ body: { data: [entry], page: { next: 'more', limit: 1 } } }));
    const { out, err, failure } = await runCommand(gateway.url, ['audit', '--since', '2026-11-02T08:00:00Z', '--key', 'user:5b1f', '--operation', 'revokeKey', '--status', '4xx', '--limit', '2']);
    expect(failure).toBeUndefined();
    expect(gateway.asked.map(({ path }) => path)).toEqual([2, 1].map((limit) => `GET /api/admin/audit?since=2026-11-02T08%3A00%3A00Z&key_id=user%3A5b1f&operation=revokeKey&status=4xx&limit=${limit}${limit === 1 ? '&cursor=more' : ''}`));
    expect(out.join('\n')).toMatch(/user:5b1f +revokeKey +204 +\/api\/x \[2J +5f0c/);
    expect(err.join('\n')).toContain('more than these 2');
    gateway.close();
  });
});
