import { SinkUnavailableError } from './errors.ts';

/** For publishers: a bounded amount of text is under way, and a bounded amount waits. */
export interface Room {
  /** Without waiting, where that is possible. */
  tryEnter(size: number): boolean;
  enter(size: number): Promise<void>;
  leave(size: number): void;
}

/** Bounds what is under way, first come, first served. */
export function createRoom(maxInFlight: number, maxWaiting: number): Room {
  let inFlight = 0;
  let waitingSize = 0;
  const waiting: { readonly size: number; readonly enter: () => void }[] = [];
  // One that is larger than all the room goes alone.
  const fits = (size: number): boolean => inFlight === 0 || inFlight + size <= maxInFlight;
  return {
    tryEnter(size) {
      const isFree = waiting.length === 0 && fits(size);
      if (isFree) inFlight += size;
      return isFree;
    },
    async enter(size) {
      if (waitingSize + size > maxWaiting && waiting.length > 0) throw new SinkUnavailableError('too much is waiting to be published already: the broker is slow or away');
      waitingSize += size;
      await new Promise<void>((resolve) => waiting.push({ size, enter: resolve }));
    },
    leave(size) {
      inFlight -= size;
      for (let next = waiting[0]; next && fits(next.size); next = waiting[0]) {
        waiting.shift();
        waitingSize -= next.size;
        inFlight += next.size;
        next.enter();
      }
    },
  };
}
