import type { BlockingReader } from './blocking-reader.ts';
import { startBroadcast } from './broadcast.ts';
import type { BroadcastDeps } from './broadcast.ts';
import { followLayout, untilTrue } from './follow-layout.ts';
import type { FollowDeps, Running, Started } from './follow-layout.ts';
import { isSetCurrent, keysOf } from './layout.ts';
import type { Layout } from './layout.ts';

export interface BroadcastSubscriptionDeps extends Omit<BroadcastDeps, 'stream' | 'reader'>, FollowDeps {
  readonly topic: BroadcastDeps['topic'];
  readonly openReader: (stream: string) => BlockingReader;
}

/** Reads every current partition from its tail; when the topic moves to other partitions, it goes on there, with a gap. */
export const startBroadcastSubscription = (deps: BroadcastSubscriptionDeps): Started => followLayout(deps, undefined, async (layout) => broadcastSet(deps, layout));

function broadcastSet(deps: BroadcastSubscriptionDeps, { current }: Layout): Running {
  const { control, keys, topic } = deps;
  const stopping = new AbortController();
  const started = keysOf(keys, topic.name, current).map(({ stream }) => startBroadcast({ ...deps, stream, reader: deps.openReader(stream) }));
  return {
    registered: Promise.all(started.map(({ registered }) => registered)).then(() => undefined),
    ended: untilTrue(async () => !(await isSetCurrent(control, keys, topic.name, current)), stopping.signal),
    async close() {
      stopping.abort();
      await Promise.all(started.map((one) => one.close()));
    },
  };
}
