import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { CountsBody } from '@millrace/contracts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway } from './fake-gateway.ts';

const done: CountsBody['rebuilds'][number] = {
  id: 7, reason: 'nightly', started_at: '2026-11-21T03:30:00.000Z', finished_at: '2026-11-21T03:31:00.000Z', generation: 'g7', events: 1_200, users: 40, drift: { history: 0, co_buy: 0.0213, views: 0.001 }, error: null,
};
const failed = { ...done, id: 8, reason: 'manual' as const, generation: null, events: null, users: null, drift: null, error: 'the export of interactions answered 503' };
const running = { ...failed, id: 9, finished_at: null, error: null };

let gateway: FakeGateway;
/** One answer after the other; the last one stays. */
let states: (CountsBody['rebuilds'] | 'away')[];
beforeAll(async () => {
  gateway = await startFakeGateway(({ path }) => {
    if (path.startsWith('POST')) return { status: 202, body: { started: true } };
    const rebuilds = states.length > 1 ? states.shift() : states[0];
    if (rebuilds === 'away') return { status: 503, body: { type: 'about:blank', title: 'x', status: 503, code: 'unavailable', detail: 'a moment', request_id: 'r' } };
    return { body: { bytes_per_user: 1_234.5, bytes_per_item: null, users_measured: 200, items_measured: 0, rebuilds } };
  });
});
afterAll(() => gateway.close());
beforeEach(() => {
  gateway.forget();
  states = [[]];
});
const run = (...args: string[]) => runCommand(gateway.url, ['recs', ...args]);

describe('millrace recs', () => {
  it('prints what a user and a product cost', async () => {
    expect((await run('memory')).out).toEqual(['a user: 1,235 bytes (200 measured)', 'a product: none yet (0 measured)']);
  });
  it('lists rebuilds with what the counts before were off by', async () => {
    states = [[running, failed, done]];
    expect((await run('status')).out).toEqual([
      '9  manual  2026-11-21T03:30:00.000Z  running', '8  manual  2026-11-21T03:30:00.000Z  failed: the export of interactions answered 503',
      '7  nightly  2026-11-21T03:30:00.000Z  1200 events of 40 users, drift: co_buy 2.13 %, views 0.10 %',
    ]);
  });
  it('starts a rebuild and waits for its end', async () => {
    states = [[done], [running, done], [{ ...done, id: 9, drift: {} }, done]];
    expect(await run('rebuild', '--wait')).toMatchObject({ failure: undefined, out: ['rebuild started', '9  nightly  2026-11-21T03:30:00.000Z  1200 events of 40 users, no drift'] });
  });
  it('goes on waiting where a look at it fails, because a service is being started', async () => {
    states = [[done], 'away', 'away', 'away', 'away', [{ ...done, id: 9, drift: {} }, done]];
    expect(await run('rebuild', '--wait')).toMatchObject({ failure: undefined, out: ['rebuild started', '9  nightly  2026-11-21T03:30:00.000Z  1200 events of 40 users, no drift'] });
  });
  it('fails with the reason of the rebuild that was waited for, and says that it is tried again', async () => {
    states = [[done], [failed, done]];
    expect((await run('rebuild', '--wait')).failure).toMatchObject({ name: 'FailedError', message: 'the rebuild failed: the export of interactions answered 503. It is tried again by itself: millrace recs status' });
  });
});
