import { once } from 'node:events';
import { setImmediate as nextRound } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, it } from '@jest/globals';
import { within } from '../src/index.ts';

const late = (): Error => new Error('late');

describe('within a time', () => {
  it('gives what the work comes to', async () => {
    expect(await within(60_000, Promise.resolve(1), late)).toBe(1);
    await expect(within(60_000, Promise.reject(new Error('failed')), late)).rejects.toThrow('failed');
  });
  it('rejects with the error of the caller where the work takes longer', async () => {
    await expect(within(5, new Promise(() => undefined), late)).rejects.toThrow('late');
  });
  it('takes an answer that arrived while the process itself was busy for longer', async () => {
    await nextRound(); // timers come next, and what has arrived after them
    const { port1, port2 } = new MessageChannel();
    const answer = within(5, once(port2, 'message'), late);
    port1.postMessage('the answer', []);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    expect(await answer).toEqual(['the answer']);
    port1.close();
  });
  it('drops a failure that comes too late, which ends no process', async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    await expect(within(5, promise, late)).rejects.toThrow('late');
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    reject(new Error('failed too late'));
    await nextRound();
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});
