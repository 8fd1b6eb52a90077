import { closeRedis, createUnblocker, onReconnect } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';

/** One connection that runs one blocking command at a time on a stream, and another that can end it. */
export interface BlockingReader {
  run<T>(command: (redis: Redis) => Promise<T>): Promise<T>;
  /** Ends the blocking command as if its time were up (CLIENT UNBLOCK). Dropping the connection instead would strand what it was just given. */
  interrupt(): void;
  /** The same for a reader that goes on: does nothing while its connection is away. */
  wake(): void;
  /** True once after a reconnect: an answer may have been lost with the old connection. */
  takeReconnected(): boolean;
  close(): Promise<void>;
}

export interface BlockingReaderOptions {
  readonly redis: Redis;
  readonly control: Redis;
  /** What is read: on a cluster its node is the one that keeps the command waiting. */
  readonly stream: string;
}

export function createBlockingReader({ redis, control, stream }: BlockingReaderOptions): BlockingReader {
  const unblocker = createUnblocker(redis, control);
  let hasReconnected = false;
  let isBusy = false;
  onReconnect(redis, () => {
    hasReconnected = true;
  });

  return {
    async run(command) {
      isBusy = true;
      try {
        await unblocker.prepare(stream);
        return await command(redis);
      } finally {
        isBusy = false;
      }
    },
    interrupt() {
      if (isBusy) unblocker.unblock();
    },
    wake() {
      if (isBusy) unblocker.wake();
    },
    takeReconnected() {
      const was = hasReconnected;
      hasReconnected = false;
      return was;
    },
    close: () => closeRedis(redis),
  };
}
