import { parsePointer, readPointer } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import type { Pool } from 'pg';

/** The pointer as this process knows it. It only ever moves to a newer version. */
export interface LivePointer {
  readonly current: Pointer;
  /** What Redis said, with an answer or alone; returns the pointer that is to be used from now on. */
  observe(text: string | null): Pointer;
  /** Asks Postgres; many callers share one question. */
  refresh(): Promise<Pointer>;
  /** Does Redis have an older pointer, or none, as of the last answer? */
  readonly isRedisBehind: boolean;
}

export interface LivePointerOptions {
  readonly pool: Pool;
  readonly first: Pointer;
  /** Redis was seen to be behind. */
  readonly onBehind: () => void;
  /** There is a newer version: something was switched, or somebody was erased. */
  readonly onNew: () => void;
}

/** Keeps the newest pointer that either store has told of. */
export function createLivePointer({ pool, first, onBehind, onNew }: LivePointerOptions): LivePointer {
  let current = first;
  let seen: string | null | undefined;
  let isRedisBehind = false;
  let asking: Promise<Pointer> | undefined;
  const take = (pointer: Pointer | undefined): Pointer => {
    if (pointer === undefined || pointer.version <= current.version) return current;
    current = pointer;
    onNew();
    return current;
  };
  return {
    get current() {
      return current;
    },
    get isRedisBehind() {
      return isRedisBehind;
    },
    observe(text) {
      // The usual answer: the same text as before.
      if (text !== null && text === seen) return current;
      const pointer = parsePointer(text);
      take(pointer);
      isRedisBehind = current.redis > 0 && pointer?.version !== current.version;
      seen = isRedisBehind ? undefined : text;
      if (isRedisBehind) onBehind();
      return current;
    },
    refresh() {
      asking ??= readPointer(pool).then((pointer) => {
        if (pointer.version !== current.version) seen = undefined;
        return take(pointer);
      }).finally(() => { asking = undefined; });
      return asking;
    },
  };
}
