import type { KnownInteraction } from './interaction.repository.ts';

export interface Acknowledged {
  add(events: readonly KnownInteraction[]): void;
  /** What was acknowledged in the last `windowMs` before the newest acknowledgement: time in which Redis is away does not count. */
  recent(): readonly KnownInteraction[];
}

export interface AcknowledgedOptions {
  readonly windowMs?: number;
  /** At most so many are kept, the newest: bounds the memory of a burst. */
  readonly capacity?: number;
  readonly nowMs?: () => number;
}

/** Redis' append-only file is written once a second: a crash may lose what it acknowledged in the last one or two seconds. */
export function createAcknowledged({ windowMs = 5_000, capacity = 100_000, nowMs = () => performance.now() }: AcknowledgedOptions = {}): Acknowledged {
  let kept: { readonly at: number; readonly events: readonly KnownInteraction[] }[] = [];
  let first = 0;
  let count = 0;
  const drop = (): void => {
    count -= kept[first]?.events.length ?? 0;
    first += 1;
    if (first < 1_024 || first * 2 < kept.length) return;
    kept = kept.slice(first);
    first = 0;
  };
  return {
    add(events) {
      const at = nowMs();
      kept.push({ at, events });
      count += events.length;
      const isOver = (): boolean => (kept[first]?.at ?? at) < at - windowMs || (count > capacity && first < kept.length - 1);
      while (isOver()) drop();
    },
    recent: () => kept.slice(first).flatMap(({ events }) => events),
  };
}
