/** How many events a batch has at most. */
export const MAX_BATCH = 2_000;
const MIN_BATCH = 10;
/** What a batch should weigh at most: it is held in memory twice, and Redis takes it in one call. */
const MAX_CHARACTERS = 8_388_608;

export interface BatchSize {
  /** Events of the next claim. */
  limit(): number;
  /** What a claim of `events` weighed: heavy ones make the next smaller, light ones let it grow. */
  weighed(events: number, characters: number): void;
  /** Redis did not answer in time: the same batch again would not be any faster. */
  tooSlow(): void;
}

export function createBatchSize(): BatchSize {
  let limit = MAX_BATCH / 4;
  return {
    limit: () => limit,
    weighed(events, characters) {
      if (events === 0) return;
      const affordable = Math.floor((MAX_CHARACTERS * events) / Math.max(characters, 1));
      limit = Math.max(MIN_BATCH, Math.min(MAX_BATCH, affordable, events === limit ? limit * 2 : MAX_BATCH));
    },
    tooSlow: () => void (limit = Math.max(MIN_BATCH, Math.floor(limit / 4))),
  };
}
