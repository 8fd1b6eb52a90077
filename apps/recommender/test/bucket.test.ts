import { describe, expect, it } from '@jest/globals';
import { fractionOf, variantOf } from '../src/bucket.ts';
import { chiSquareProbability, sampleRatio } from '../src/intervals.ts';

const users = Array.from({ length: 20_000 }, (_, n) => (n % 2 === 0 ? String(n) : `anon:${n.toString(36)}`));
const halves = [{ key: 'control', weight: 1 }, { key: 'other', weight: 1 }];
const of = (key: string, over: Partial<Parameters<typeof variantOf<(typeof halves)[number]>>[0]> = {}) => (user: string) => variantOf({ key, audience: 1, variants: halves, ...over }, user)?.key;

describe('buckets', () => {
  it('stay what they are: another algorithm would move users', () => {
    expect(fractionOf('category-boost/variant', '123')).toBe(0.081_302_359_638_502_96);
    expect(['123', '124', 'anon:1', 'đèn'].map(of('category-boost'))).toEqual(['control', 'control', 'control', 'other']);
  });
  it('divide users evenly', () => {
    const counts = Array.from({ length: 100 }, () => 0);
    for (const user of users) counts[Math.floor(fractionOf('k/variant', user) * 100)] = (counts[Math.floor(fractionOf('k/variant', user) * 100)] ?? 0) + 1;
    const chiSquare = counts.reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0);
    expect(chiSquareProbability(chiSquare, 99)).toBeGreaterThan(0.001);
  });
  it.each([[[1, 1]], [[9, 1]], [[1, 2, 7]], [[10_000, 1, 1]]])('divide users as the weights %j say', (weights) => {
    const variants = weights.map((weight, at) => ({ key: String(at), weight }));
    const counts = Map.groupBy(users, (user) => variantOf({ key: 'weights', audience: 1, variants }, user)?.key);
    expect(sampleRatio(variants.map(({ key, weight }) => ({ weight, users: counts.get(key)?.length ?? 0 })))?.probability ?? 1).toBeGreaterThan(0.001);
  });
  it('let in the share of the audience, and say nothing of the variant by it', () => {
    const inside = users.filter((user) => of('share', { audience: 0.3 })(user) !== undefined);
    expect(Math.abs(inside.length / users.length - 0.3)).toBeLessThan(0.015);
    const others = inside.filter((user) => of('share', { audience: 0.3 })(user) === 'other').length;
    expect(sampleRatio([{ users: others, weight: 1 }, { users: inside.length - others, weight: 1 }])?.probability).toBeGreaterThan(0.001);
  });
  it('keep everybody in when the audience grows, with the same variant', () => {
    const inside = users.slice(0, 2_000).filter((user) => of('growing', { audience: 0.2 })(user) !== undefined);
    expect(inside.map(of('growing', { audience: 0.8 }))).toEqual(inside.map(of('growing', { audience: 0.2 })));
  });
  it('of two experiments have nothing to do with each other', () => {
    const both = Map.groupBy(users, (user) => `${of('first')(user)}+${of('second')(user)}`);
    expect(sampleRatio([...both.values()].map((group) => ({ users: group.length, weight: 1 })))?.probability).toBeGreaterThan(0.001);
    expect(both.size).toBe(4);
  });
});
