import { describe, expect, it } from '@jest/globals';
import { createLogger, createMetrics } from '@millrace/service';
import { createQuarantine } from '../src/quarantine.ts';
import { mustEnd } from '@millrace/testing/must-end';
import type { NewQuarantined } from '../src/quarantine.repository.ts';
import { createBudget } from '../src/quarantine-budget.ts';
import { keptText, safePointer, storable, withoutSecrets } from '../src/quarantine-text.ts';

describe('the text of a refused event', () => {
  it.each([
    ['a parsed event', { user_id: 7, asin: 'A', event_id: 'e-1' }, { raw: '{"user_id":7,"asin":"A","event_id":"e-1"}', userId: '7', eventId: 'e-1', isCut: false }],
    ['a line', Buffer.from('{"user_id":"x y","asin":1}'), { userId: 'x y', eventId: undefined, isCut: false }],
    ['a broken line', Buffer.from('{"asin":"A","user_id" : "a\\"b",'), { userId: 'a"b', isCut: false }],
    ['a broken line with a number', Buffer.from('{"user_id":123,,'), { userId: '123' }],
    ['a decimal that is no user', Buffer.from('{"user_id":12.5,,'), { userId: undefined }],
    ['something else', 42, { raw: '42', userId: undefined, bytes: 2 }],
    ['a long id', { user_id: 'x'.repeat(201) }, { userId: undefined }],
    ['bytes that are no text', Buffer.from([0x22, 0xff, 0x22]), { raw: '"\uFFFD"', bytes: 3 }],
    ['nothing', undefined, { raw: '', isCut: true }],
  ])('of %s is kept with user and event id where they can be read', (_what, item, expected) => {
    expect(keptText(item)).toMatchObject(expected);
  });
  it('is cut to 8 kB of whole characters, which is said', () => {
    const { raw, bytes, isCut } = keptText({ user_id: 'a', text: 'đ'.repeat(20_000) });
    expect([Buffer.byteLength(raw) <= 8_192, raw.endsWith('đ'), isCut, bytes > 40_000]).toEqual([true, true, true, true]);
    expect(keptText(Buffer.from(`{"user_id":"late","t":"${'x'.repeat(70_000)}"}`))).toMatchObject({ isCut: true, bytes: 70_025, userId: 'late' });
  });
  it('of a value that is nested too deep to be written is empty', () => {
    const deep: unknown = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    expect(keptText(deep)).toMatchObject({ raw: '', isCut: true });
  });
  it.each([
    ['{"password":"hun\\"ter2","a":1}', '{"password":"***","a":1}'],
    ['{"user_token": 12345}', '{"user_token": "***"}'],
    ['{"metadata":{"Credit-Card":"4111 1111","x":"y"}}', '{"metadata":{"Credit-Card":"***","x":"y"}}'],
    ['{"api_key":"abc', '{"api_key":"***"'],
    ['{"api_key":"abc\\', '{"api_key":"***"'],
    ['{"note":"mr_pub_abcdefghijklmn and Bearer abcdefgh.ijkl"}', '{"note":"*** and ***"}'],
    ['{"jwt":"eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln"}', '{"jwt":"***"}'],
    ['{"asin":"MR-0001","session_id":"s"}', '{"asin":"MR-0001","session_id":"s"}'],
  ])('has no secret in it: %s', (text, kept) => {
    expect(withoutSecrets(text)).toBe(kept);
  });
  it.each(['"token', 'token', '"token":"', '-eyJ', 'eyJaaaaaaaa.', 'Bearer ', '"secret":"\\', 'mr_'])('takes no square of its length to be cleared of secrets, whatever an attacker sends: many of %j', (part) => {
    // More than a hundred times of what is kept of an item.
    expect(() => mustEnd(() => void withoutSecrets(part.repeat(Math.ceil(1_000_000 / part.length))))).not.toThrow();
  });
  it('holds no character that Postgres refuses', () => {
    expect(storable('a\0b\uD800c')).toBe('a\uFFFDb\uFFFDc');
  });
  it.each([['', ''], ['/metadata/timestamp', '/metadata/timestamp'], ['/jane@example.com', '/***'], ['/metadata/jane~1doe', '/metadata/***']])('keeps of a pointer only the names of fields: %s', (pointer, kept) => {
    expect(safePointer(pointer)).toBe(kept);
  });
});

describe('the quarantine of a publishable key', () => {
  it('has nothing of types that the key may not send: a replay would log them', async () => {
    const kept: NewQuarantined[] = [];
    const quarantine = createQuarantine({ insert: async (rows) => void kept.push(...rows), count: async () => new Map(), purge: async () => undefined, maxRows: 100, maxRowsPerMinute: 100, metrics: createMetrics('test'), logger: createLogger('test', 'silent') });
    const given = (item: unknown) => ({ item, code: 'invalid_request', pointer: '', reason: 'is wrong' });
    const items = ['view', 'purchase', 'hover'].map((type) => given({ user_id: 'a', asin: 'A', event_type: type }));
    // Masked, it is valid JSON.
    const lines = ['view', 'purchase'].map((type) => given(Buffer.from(`{"user_id":"b","asin":"A","event_type":"${type}","metadata":{"token":x}}`)));
    quarantine.keep({ route: '/api/events', keyId: 'key_page', types: new Set(['view']) }, 5, () => [...items, ...lines]);
    quarantine.keep({ route: '/api/events', keyId: 'key_secret' }, 1, () => [given({ user_id: 'c', event_type: 'purchase' })]);
    await quarantine.close();
    expect(kept.map(({ userId, raw }) => [userId, /"event_type":"(\w+)"/.exec(raw)?.[1]])).toEqual([['a', 'view'], ['a', 'hover'], ['b', 'view'], ['c', 'purchase']]);
  });
});

describe('the budget of the quarantine', () => {
  it('grants a key so many rows a minute, and others theirs', () => {
    let now = 0;
    const budget = createBudget({ maxRows: 1_000, maxRowsPerMinute: 100, nowMs: () => now });
    expect([budget.take('a', 80), budget.take('a', 80), budget.take('b', 50)]).toMatchObject([{ granted: 80 }, { granted: 20, refusedBy: 'rate' }, { granted: 50 }]);
    now = 59_999;
    expect(budget.take('a', 1).granted).toBe(0);
    now = 60_000;
    expect(budget.take('a', 1).granted).toBe(1);
  });
  it('gives one key half of all rows at most, and nobody more than all', () => {
    const budget = createBudget({ maxRows: 100, maxRowsPerMinute: 1_000 });
    expect([budget.take('a', 80), budget.take('b', 40), budget.take('c', 40)]).toMatchObject([{ granted: 50, refusedBy: 'full' }, { granted: 40 }, { granted: 10, refusedBy: 'full' }]);
    budget.setStored(new Map([['a', 20]]));
    expect([budget.take('a', 80).granted, budget.take('c', 80).granted]).toEqual([30, 50]);
  });
  it('keeps nothing where it has no rows', () => {
    expect(createBudget({ maxRows: 0, maxRowsPerMinute: 10 }).take('a', 1)).toEqual({ granted: 0, refusedBy: 'full' });
  });
});
