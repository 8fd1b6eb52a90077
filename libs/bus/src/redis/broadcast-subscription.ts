import { backoffMs, pause } from '../backoff.ts';
import { describeError } from '../errors.ts';
import { shareGap } from '../share-gap.ts';
import type { BlockingReader } from './blocking-reader.ts';
import { startBroadcast } from './broadcast.ts';
import type { BroadcastDeps } from './broadcast.ts';
import { followLayout, untilTrue } from './follow-layout.ts';
import type { FollowDeps, Running } from './follow-layout.ts';
import type { Started } from '../start-reading.ts';
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
  // Handling a gap may mean to read a whole export: once for all partitions.
  const onGap = shareGap(() => untilHandled(deps, stopping.signal));
  const started = keysOf(keys, topic.name, current).map(({ stream }) => startBroadcast({ ...deps, onGap, stream, reader: deps.openReader(stream) }));
  return {
    registered: Promise.all(started.map(({ registered }) => registered)).then(() => undefined),
    ended: untilTrue(async () => !(await isSetCurrent(control, keys, topic.name, current)), stopping.signal),
    async close() {
      stopping.abort();
      await Promise.all(started.map((one) => one.close()));
    },
  };
}

/** Until it succeeds: events must not be handled on top of a state that should have been flushed. */
async function untilHandled({ topic, onGap, logger }: BroadcastSubscriptionDeps, stop: AbortSignal): Promise<void> {
  for (let attempt = 1; !stop.aborted; attempt += 1) {
    try {
      await onGap();
      return;
    } catch (error) {
      logger.warn({ topic: topic.name, attempt, error: describeError(error) }, 'gap handler rejected: trying again');
      await pause(backoffMs(attempt), stop);
    }
  }
}
