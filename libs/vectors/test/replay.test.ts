import { it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { createReplay } from '../src/redis/replay.ts';

it('what a restarted server may have lost is done again without another write, however often the first tries fail', async () => {
  let server = 'first';
  let failures = 0;
  const closing = new AbortController();
  const replay = createReplay(async () => {
    if (failures > 0) throw new Error(`still loading, ${(failures -= 1)}`);
    return server;
  }, closing.signal);
  await replay.settled();
  let done = 0;
  replay.remember(async () => void (done += 1));
  [server, failures] = ['second', 2];
  replay.reconnected();
  await eventually(() => done === 1);
  closing.abort();
});
