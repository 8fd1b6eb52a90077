import { describe, expect, it } from '@jest/globals';
import { isFitDue } from '../src/fit-schedule.ts';

const policy = { minProducts: 500, minIntervalMs: 60_000 };
const calm = { count: 600, previousCount: 600, fittedOn: 0, lag: 0, msSinceLastFit: Infinity };

describe('isFitDue', () => {
  it.each([
    { name: 'waits below 500 products', situation: { ...calm, count: 499, previousCount: 499 }, due: false },
    { name: 'fits at 500 products', situation: { ...calm, count: 500, previousCount: 500 }, due: true },
    { name: 'waits until the catalogue has doubled', situation: { ...calm, count: 1_199, previousCount: 1_199, fittedOn: 600 }, due: false },
    { name: 'fits again when it has doubled', situation: { ...calm, count: 1_200, previousCount: 1_200, fittedOn: 600 }, due: true },
    { name: 'waits while the group lags by more than 1,000', situation: { ...calm, lag: 1_001 }, due: false },
    { name: 'waits within 60 s of the last fit', situation: { ...calm, msSinceLastFit: 59_999 }, due: false },
    { name: 'waits while an import is running', situation: { ...calm, previousCount: 500 }, due: false },
    { name: 'waits for a second look', situation: { ...calm, previousCount: undefined }, due: false },
  ])('$name', ({ situation, due }) => {
    expect(isFitDue(situation, policy)).toBe(due);
  });
});
