import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ProblemError, TransportError, createMillrace } from '../src/index.ts';
import { waitBeforeRetry } from '../src/retry.ts';

const problem = (status: number, retryAfterMs?: number): ProblemError => new ProblemError({ type: 'x', title: 'x', status, code: 'x', detail: 'x' }, retryAfterMs);

describe('the wait before a request is sent again', () => {
  it.each([
    { name: 'is what the server asked for', error: problem(503, 1_500), isRepeatable: true, waitMs: 1_500 },
    { name: 'is what the server asked for, of whatever is refused by a limit', error: problem(429, 3_000), isRepeatable: false, waitMs: 3_000 },
    { name: 'follows a request under the same key that is still running', error: problem(409, 1_000), isRepeatable: true, waitMs: 1_000 },
    { name: 'never comes for a conflict', error: problem(409), isRepeatable: true, waitMs: undefined },
    { name: 'never comes where the server asks for more than a minute', error: problem(429, 61_000), isRepeatable: true, waitMs: undefined },
    { name: 'never comes for what could count twice', error: problem(503, 1_000), isRepeatable: false, waitMs: undefined },
    { name: 'never comes for what could count twice, without an answer', error: new TransportError('x'), isRepeatable: false, waitMs: undefined },
    { name: 'never comes for what will be refused again', error: problem(400, 1_000), isRepeatable: true, waitMs: undefined },
    { name: 'never comes for a bug of the server', error: problem(500), isRepeatable: true, waitMs: undefined },
    { name: 'never comes for an error of the caller', error: new Error('x'), isRepeatable: true, waitMs: undefined },
  ])('$name', ({ error, isRepeatable, waitMs }) => {
    expect(waitBeforeRetry(error, { sent: 1, isRepeatable })).toBe(waitMs);
  });
  it('is random below 200 ms, doubled with each attempt up to 10 s, where the server says nothing', () => {
    const longest = (sent: number): number => Math.max(...Array.from({ length: 2_000 }, () => waitBeforeRetry(new TransportError('x'), { sent, isRepeatable: true }) ?? Infinity));
    for (const [sent, bound] of [[1, 200], [2, 400], [3, 800], [20, 10_000]] as const) {
      expect(longest(sent)).toBeLessThan(bound);
      expect(longest(sent)).toBeGreaterThan(bound * 0.9);
    }
  });
});

describe('attempts', () => {
  let close = (): void => undefined;
  afterEach(() => close());
  /** A server that breaks the first `cuts` connections; answers how often it was asked. */
  const brittle = async (cuts: number) => {
    let asked = 0;
    const server = createServer((req, res) => {
      asked += 1;
      if (asked <= cuts) req.socket.destroy();
      else res.end(JSON.stringify({ data: [], page: { next: null, limit: 1 } }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    close = () => void (server.closeAllConnections(), server.close());
    const address = server.address();
    return { asked: () => asked, options: { baseUrl: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`, apiKey: 'mr_x' } };
  };
  it('are one where nothing else is asked for', async () => {
    const { asked, options } = await brittle(1);
    await expect(createMillrace(options).GET('/api/products')).rejects.toThrow(TransportError);
    expect(asked()).toBe(1);
  });
  it('end with the first answer', async () => {
    const { asked, options } = await brittle(2);
    expect((await createMillrace({ ...options, retries: 5 }).GET('/api/products')).data.data).toEqual([]);
    expect(asked()).toBe(3);
  });
  it('end with the number that was asked for', async () => {
    const { asked, options } = await brittle(9);
    await expect(createMillrace({ ...options, retries: 2 }).GET('/api/products')).rejects.toThrow(TransportError);
    expect(asked()).toBe(3);
  });
  it('are one for a POST that could count twice, and several for one that only reads', async () => {
    const { asked, options } = await brittle(3);
    const api = createMillrace({ ...options, retries: 3 });
    await expect(api.POST('/api/event', { body: { user_id: 1, asin: 'a', event_type: 'click' } })).rejects.toThrow(TransportError);
    expect(asked()).toBe(1);
    await api.POST('/api/similar', { body: { product_ids: ['a'] } });
    expect(asked()).toBe(4);
  });
});
