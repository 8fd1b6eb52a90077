import { setImmediate as nextRound } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { createSignal } from '../src/index.ts';

const HOUR = 3_600_000;

describe('a signal', () => {
  it('ends a wait at once', async () => {
    const signal = createSignal();
    const waiting = signal.wait(HOUR);
    signal.notify();
    expect(await waiting).toBeUndefined();
  });
  it('is not lost where it comes during a step, and serves one wait', async () => {
    const signal = createSignal();
    signal.notify();
    signal.notify();
    await signal.wait(HOUR);
    let isWoken = false;
    const next = signal.wait(HOUR).then(() => (isWoken = true));
    await nextRound();
    expect(isWoken).toBe(false);
    signal.notify();
    await next;
  });
  it('lets a loop go on after the time', async () => {
    expect(await createSignal().wait(1)).toBeUndefined();
  });
});
