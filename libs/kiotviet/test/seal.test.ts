import { createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { createSealer, isSignedBy, lifeOf, parseSealKeys, secretHash } from '../src/index.ts';
import { parseRetryAfter } from '../src/http.ts';

const base64 = (): string => randomBytes(32).toString('base64');

describe('a sealed text', () => {
  const [one, two] = [{ id: 'k1', key: randomBytes(32) }, { id: 'k2', key: randomBytes(32) }] as const;
  const sealed = createSealer([one]).seal('secret', 'place');
  it('opens with its key, at its place, and is another each time', () => {
    expect(createSealer([two, one]).open(sealed, 'place')).toEqual({ text: 'secret', keyId: 'k1' });
    expect(createSealer([one]).seal('secret', 'place')).not.toBe(sealed);
  });
  it.each([
    { what: 'of another place', text: sealed, place: 'elsewhere', keys: [one] as const },
    { what: 'of a key that is not known', text: sealed, place: 'place', keys: [two] as const },
    { what: 'whose key has the same id and is another', text: sealed, place: 'place', keys: [{ id: 'k1', key: two.key }] as const },
    { what: 'that was changed', text: `${sealed.slice(0, -2)}AA`, place: 'place', keys: [one] as const },
    { what: 'that was cut', text: sealed.slice(0, 20), place: 'place', keys: [one] as const },
    { what: 'without a nonce', text: sealed.replace(/\.[^.]+\./, '..').replace('v1..', 'v1.k1..'), place: 'place', keys: [one] as const },
    { what: 'that is none', text: 'token', place: 'place', keys: [one] as const },
  ])('$what does not open', ({ text, place, keys }) => {
    expect(createSealer(keys).open(text, place)).toBeUndefined();
  });
});

describe('keys in a variable', () => {
  it('are ids with 32 bytes each, the first one seals', () => {
    expect(parseSealKeys(`2026b:${base64()}, 2026a:${base64()}`)?.map(({ id }) => id)).toEqual(['2026b', '2026a']);
  });
  it.each(['', 'k1', `k1:${randomBytes(16).toString('base64')}`, `k1:${base64()},k1:${base64()}`, `k1:${base64()},`, `a b:${base64()}`])('are refused where they are not: %s', (text) => {
    expect(parseSealKeys(text)).toBeUndefined();
  });
});

describe('X-Hub-Signature', () => {
  const body = Buffer.from('{"Id":"1"}');
  const sign = (secret: string): string => createHmac('sha256', secret).update(body).digest('hex');
  it.each([
    { what: 'bare hex', signature: sign('s3cret-s3cret'), isGood: true },
    { what: 'with its algorithm', signature: `sha256=${sign('s3cret-s3cret')}`, isGood: true },
    { what: 'in capitals', signature: sign('s3cret-s3cret').toUpperCase(), isGood: true },
    { what: 'by the secret as it was registered, in Base64', signature: sign(Buffer.from('s3cret-s3cret').toString('base64')), isGood: true },
    { what: 'by the secret that is being replaced', signature: sign('older'), isGood: true },
    { what: 'by another secret', signature: sign('other'), isGood: false },
    { what: 'absent', signature: undefined, isGood: false },
    { what: 'empty', signature: '', isGood: false },
    { what: 'of zeros', signature: '0'.repeat(64), isGood: false },
    { what: 'too long', signature: `${sign('s3cret-s3cret')}00`, isGood: false },
    { what: 'SHA-1', signature: 'sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709', isGood: false },
  ])('$what: $isGood', ({ signature, isGood }) => {
    expect(isSignedBy(body, signature, ['s3cret-s3cret', 'older'])).toBe(isGood);
  });
});

describe('small things', () => {
  it.each([{ seconds: 86_400, ms: 86_340_000 }, { seconds: 604_800, ms: 86_400_000 }, { seconds: 90, ms: 45_000 }, { seconds: 1, ms: 500 }])('a token of $seconds s is kept for $ms ms', ({ seconds, ms }) => {
    expect(lifeOf(seconds)).toBe(ms);
  });
  it('tells secrets apart by 32 hex digits that do not tell them', () => {
    expect(secretHash('client', 'a')).toMatch(/^[0-9a-f]{32}$/);
    expect(secretHash('client', 'a')).not.toBe(secretHash('client', 'b'));
  });
  it.each([['12', 12_000], ['Sun, 22 Nov 2026 00:00:30 GMT', 30_000], ['soon', undefined], [undefined, undefined], ['Sun, 22 Nov 2020 00:00:30 GMT', 0]] as const)('reads Retry-After %s', (value, ms) => {
    expect(parseRetryAfter(value, Date.parse('2026-11-22T00:00:00Z'))).toBe(ms);
  });
});
