import { describe, expect, it } from '@jest/globals';
import { createConfirmations } from '../src/index.ts';

const change = { caller: 'default/key_1', sku: 'MR-0001', stock: 7, version: 12 };
const secret = 'a secret that several instances share';

describe('a confirmation', () => {
  it('is taken by every instance with the same secret, for a minute', () => {
    let nowMs = 1_000_000;
    const now = (): number => nowMs;
    const { token, expiresAt } = createConfirmations({ secret, now }).issue(change);
    const other = createConfirmations({ secret, now });
    expect([other.check(token, change).version, Date.parse(expiresAt)]).toEqual([12, 1_060_000]);
    nowMs += 59_999;
    expect(other.check(token, change).id).toMatch(/^[\da-f-]{36}$/);
    nowMs += 1;
    expect(() => other.check(token, change)).toThrow('older than 60 seconds');
  });

  it('has an id of its own each time', () => {
    const confirmations = createConfirmations();
    const ids = [1, 2].map(() => confirmations.check(confirmations.issue(change).token, change).id);
    expect(new Set(ids).size).toBe(2);
  });

  it.each([
    { other: 'caller', given: { ...change, caller: 'default/key_2' }, says: 'another caller' },
    { other: 'workspace', given: { ...change, caller: 'team/key_1' }, says: 'another caller' },
    { other: 'sku', given: { ...change, sku: 'MR-0002' }, says: 'another sku or another number' },
    { other: 'number', given: { ...change, stock: 70 }, says: 'another sku or another number' },
  ])('is refused for another $other', ({ given, says }) => {
    const confirmations = createConfirmations();
    expect(() => confirmations.check(confirmations.issue(change).token, given)).toThrow(says);
  });

  it('is refused where it was forged', () => {
    const confirmations = createConfirmations({ secret });
    const { token } = confirmations.issue(change);
    const [body = '', signature = ''] = token.split('.');
    const claims: unknown = JSON.parse(Buffer.from(body, 'base64url').toString());
    const richer = Buffer.from(JSON.stringify(Object.assign(Object(claims), { stock: 99 }))).toString('base64url');
    const foreign = createConfirmations({ secret: 'another secret' }).issue(change).token;
    for (const forged of ['', '.', 'x', body, `${body}.`, `.${signature}`, `${richer}.${signature}`, `${body}.${signature}.`, `${body}.${signature.slice(0, -2)}`, `${body.toUpperCase()}.${signature}`, foreign, 'x'.repeat(10_000)])
      expect(() => confirmations.check(forged, { ...change, stock: 99 })).toThrow('was not made here');
  });
});
