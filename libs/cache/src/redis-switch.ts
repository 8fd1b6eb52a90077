import { within } from '@millrace/service';

export interface RedisSwitchOptions {
  /** Resolves where Redis answers. */
  readonly ping: () => Promise<unknown>;
  /** Longest wait for one answer. */
  readonly timeoutMs: number;
  /** Pause between two pings while it is off. */
  readonly retryMs: number;
  readonly onError: (error: unknown) => void;
  /** It was turned off, by this error, or on again. */
  readonly onChange: (isOn: boolean, error?: unknown) => void;
}

/** Lets work on Redis through for as long as Redis answers in time. */
export interface RedisSwitch {
  isOn(): boolean;
  /** What the work comes to; undefined, never a rejection, where it fails, takes longer than `timeoutMs`, or the switch is off (then at once, and nothing was sent). */
  attempt<T extends object | string | number | boolean>(work: () => Promise<T>): Promise<T | undefined>;
  close(): void;
}

/** The server is there and cannot do this now (memory is full, it is loading, a slot moves …): an answer, and a fast one. */
const isRefusal = (error: unknown): boolean => error instanceof Error && error.name === 'ReplyError';

/**
 * Off until the first ping is answered. The first work that fails turns the switch off; a ping from the background turns it on again. So callers lose `timeoutMs` once in an outage
 * (those that wait at that moment), and none is sent ahead to try.
 */
export function createRedisSwitch({ ping, timeoutMs, retryMs, onError, onChange }: RedisSwitchOptions): RedisSwitch {
  let isOn = false;
  let wasOn = false;
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;
  const late = (): Error => new Error(`the cache's Redis did not answer within ${timeoutMs} ms`);
  const tryAgain = async (): Promise<void> => {
    try {
      await within(timeoutMs, ping(), late);
      isOn = !isClosed;
      if (wasOn) onChange(true);
      wasOn = true;
    } catch {
      if (!isClosed) tryAgainLater();
    }
  };
  const tryAgainLater = (): void => {
    timer = setTimeout(() => void tryAgain(), retryMs).unref();
  };
  const turnOff = (error: unknown): void => {
    if (!isOn) return;
    isOn = false;
    onChange(false, error);
    if (!isClosed) tryAgainLater();
  };
  void tryAgain();
  return {
    isOn: () => isOn,
    attempt: async (work) => {
      if (!isOn) return undefined;
      try {
        return await within(timeoutMs, work(), late);
      } catch (error) {
        onError(error);
        if (!isRefusal(error)) turnOff(error);
        return undefined;
      }
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
