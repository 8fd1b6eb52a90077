import { describe, expect, it } from '@jest/globals';
import { stepLocally } from '../src/limits/gcra.ts';

/** Units that are left after each call of one moment, until the first refusal. */
function drain(quota: number, nowUs: number): number[] {
  const left: number[] = [];
  let tat: number | undefined;
  for (;;) {
    const step = stepLocally(tat, nowUs, { intervalUs: 60_000_000 / quota, burst: quota, cost: 1 });
    if (!step.isAdmitted) return left;
    left.push(step.remaining);
    tat = step.tat;
  }
}

describe('a limit in this process', () => {
  it.each([3, 7, 21, 97, 777])('lets in exactly %i calls of that quota and counts them down, whatever the clock says', (quota) => {
    const counted = Array.from({ length: quota }, (_none, at) => quota - 1 - at);
    for (const nowUs of [0, 0.3, 12_345_678.901, 1_774_000_000_123_456]) expect(drain(quota, nowUs)).toEqual(counted);
  });
});
