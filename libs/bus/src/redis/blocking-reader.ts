import { closeRedis } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';

/** One connection that runs one blocking command at a time, and another that can end it. */
export interface BlockingReader {
  run<T>(command: (redis: Redis) => Promise<T>): Promise<T>;
  /** Ends the blocking command as if its time were up (CLIENT UNBLOCK). Dropping the connection instead would strand what it was just given. */
  interrupt(): void;
  /** True once after a reconnect: an answer may have been lost with the old connection. */
  takeReconnected(): boolean;
  close(): Promise<void>;
}

export function createBlockingReader(redis: Redis, control: Redis): BlockingReader {
  let clientId: number | undefined;
  let isConnectedOnce = redis.status === 'ready';
  let hasReconnected = false;
  let isBusy = false;
  redis.on('ready', () => {
    hasReconnected = isConnectedOnce;
    isConnectedOnce = true;
    clientId = undefined;
  });

  return {
    async run(command) {
      isBusy = true;
      try {
        // Ids are a connection's: ask again after each reconnect.
        clientId ??= await redis.client('ID');
        return await command(redis);
      } finally {
        isBusy = false;
      }
    },
    interrupt() {
      if (!isBusy) return;
      // Nothing can have been delivered over a connection that is not there: the waiting command is rejected.
      if (redis.status !== 'ready') void closeRedis(redis);
      else if (clientId !== undefined) control.client('UNBLOCK', clientId).catch(() => undefined);
    },
    takeReconnected() {
      const was = hasReconnected;
      hasReconnected = false;
      return was;
    },
    close: () => closeRedis(redis),
  };
}
