import { describe, expect, it } from '@jest/globals';
import { BASKET_GAP_MS, boardWeight, decodeHistory, EMPTY_HISTORY, encodeHistory, MAX_BOUGHT, MAX_KEPT_WITH_SLACK, MAX_VIEWED, mergeHistories } from '../src/index.ts';
import { DAY, MINUTE, NOW, shop } from './kit.ts';

describe('a user history', () => {
  it('comes back from its text as it was, to the second', () => {
    const { act, history } = shop();
    act('u', 'purchase', 'a', NOW);
    act('u', 'purchase', 'a', NOW + DAY);
    act('u', 'view', 'b', NOW + DAY);
    expect(decodeHistory(encodeHistory(history('u')))).toEqual(history('u'));
  });
  it.each(['', '{}', '{"b":1}', '{"b":1,"t":1,"h":[["a"]],"v":[]}'])('refuses the text %j', (text) => expect(() => decodeHistory(text)).toThrow());
  it('never grows beyond its bounds, and keeps what is bought again and again', () => {
    const { act, history } = shop();
    for (let day = 0; day < 400; day += 1) {
      act('u', 'purchase', `p${day}`, NOW + day * DAY);
      act('u', 'purchase', 'weekly', NOW + day * DAY);
      act('u', 'view', `v${day}`, NOW + day * DAY);
    }
    expect(history('u').bought).toHaveLength(MAX_BOUGHT);
    expect(history('u').viewed).toHaveLength(MAX_VIEWED);
    expect(history('u').bought.map(({ sku }) => sku)).toContain('weekly');
  });
  it('merges two histories without losing an item', () => {
    const { act, history } = shop();
    act('a', 'purchase', 'x', NOW);
    act('b', 'purchase', 'x', NOW + DAY);
    act('b', 'purchase', 'y', NOW + 2 * DAY);
    act('b', 'view', 'z', NOW);
    const merged = mergeHistories([history('a'), history('b')]);
    expect(merged.bought.map(({ sku, baskets }) => [sku, baskets])).toEqual([['x', 2], ['y', 1]]);
    expect(merged.viewed).toEqual([{ sku: 'z', atMs: NOW }]);
    expect(mergeHistories([])).toBe(EMPTY_HISTORY);
  });
});

describe('counting', () => {
  it('pairs what is bought in one basket, both ways, and not what is bought in two', () => {
    const { counts, basket } = shop();
    basket('u', ['a', 'b'], NOW);
    basket('u', ['c'], NOW + BASKET_GAP_MS + MINUTE);
    expect(counts.neighbours('co_buy', 'a')).toEqual([{ sku: 'b', count: 1 }]);
    expect(counts.neighbours('co_buy', 'b')).toEqual([{ sku: 'a', count: 1 }]);
    expect(counts.neighbours('co_buy', 'c')).toEqual([]);
  });
  it('counts an item that is bought twice in a basket once', () => {
    const { counts, basket } = shop();
    basket('u', ['a', 'b', 'a', 'b'], NOW);
    expect(counts.counter('baskets', 'a')).toBe(1);
    expect(counts.neighbours('co_buy', 'a')).toEqual([{ sku: 'b', count: 1 }]);
  });
  it('counts a buyer once, and once as one who came back', () => {
    const { counts, basket } = shop();
    for (let day = 0; day < 4; day += 1) basket('u', ['a'], NOW + day * DAY);
    basket('v', ['a'], NOW);
    expect([counts.counter('baskets', 'a'), counts.counter('buyers', 'a'), counts.counter('rebuyers', 'a')]).toEqual([5, 2, 1]);
  });
  it('pairs what is looked at in one session, once where it is looked at again', () => {
    const { counts, act } = shop();
    for (const sku of ['a', 'b', 'a', 'b']) act('u', 'view', sku, NOW);
    act('u', 'view', 'c', NOW + DAY);
    expect(counts.neighbours('co_view', 'a')).toEqual([{ sku: 'b', count: 1 }]);
    expect(counts.neighbours('co_view', 'c')).toEqual([]);
    expect(counts.counter('views', 'a')).toBe(1);
  });
  it('adds a purchase that comes late to the history, and pairs it with nothing', () => {
    const { counts, basket, history } = shop();
    basket('u', ['a'], NOW);
    basket('u', ['late'], NOW - 10 * DAY);
    expect(history('u').bought.map(({ sku }) => sku)).toEqual(['a', 'late']);
    expect(history('u').boughtAtMs).toBe(NOW);
    expect(counts.neighbours('co_buy', 'late')).toEqual([]);
  });
  it('counts nothing for a rating', () => {
    const { counts, act, history } = shop();
    act('u', 'rate', 'a', NOW);
    expect([counts.top('trending', null), history('u')]).toEqual([[], EMPTY_HISTORY]);
  });
  it('keeps a bounded number of neighbours, the ones that were met most', () => {
    const { counts, basket } = shop();
    for (let at = 0; at < 300; at += 1) basket(`u${at}`, ['a', `n${at}`, 'often'], NOW);
    expect(counts.neighbours('co_buy', 'a').length).toBeLessThanOrEqual(MAX_KEPT_WITH_SLACK);
    expect(counts.neighbours('co_buy', 'a')[0]).toEqual({ sku: 'often', count: 300 });
  });
  it.each([-1e15, 0, Date.UTC(2000, 0, 1), NOW, Date.UTC(2200, 0, 1)])('weighs an event at %p by a finite number above zero', (atMs) => {
    expect(boardWeight('trending', atMs)).toBeGreaterThan(0);
    expect(boardWeight('trending', atMs)).toBeLessThan(Number.POSITIVE_INFINITY);
  });
  it('lets what is bought now overtake what was bought more often long ago', () => {
    const { counts, basket } = shop();
    for (let at = 0; at < 5; at += 1) basket(`u${at}`, ['old'], NOW - 60 * DAY);
    basket('v', ['new'], NOW);
    expect(counts.top('trending', null)).toEqual(['new', 'old']);
    expect(counts.top('popular', null)).toEqual(['old', 'new']);
  });
});
