import { describe, expect, it } from '@jest/globals';
import { every } from '../src/index.ts';

const logger = { warn: () => undefined };
/** Resolves when it was called so many times. */
function called(times: number): { readonly call: () => void; readonly enough: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = times;
  return { call: () => void ((left -= 1) === 0 && resolve()), enough: promise };
}

describe('work that is done again and again', () => {
  it('never runs twice at once, goes on after a long run, and ends when it is stopped', async () => {
    const [ticks, runs] = [called(5), called(3)];
    const long = Promise.withResolvers<void>();
    let started = 0;
    const stop = every(1, { what: 'test', logger }, async () => {
      started += 1;
      runs.call();
      if (started === 1) await long.promise;
    });
    const stopTicks = every(1, { what: 'ticks', logger }, async () => ticks.call());
    await ticks.enough;
    expect(started).toBe(1);
    long.resolve();
    await runs.enough;
    stop();
    const stopped = started;
    const after = called(5);
    const stopAfter = every(1, { what: 'ticks', logger }, async () => after.call());
    await after.enough;
    expect(started).toBe(stopped);
    stopTicks();
    stopAfter();
  });
  it('comes again after a failure, which is logged with what it was', async () => {
    const logged: unknown[] = [];
    const twice = called(2);
    const stop = every(1, { what: 'trimming', logger: { warn: (fields: object) => void [logged.push(fields), twice.call()] } }, async () => {
      throw new Error('away');
    });
    await twice.enough;
    stop();
    expect(logged[0]).toMatchObject({ what: 'trimming', err: new Error('away') });
  });
});
