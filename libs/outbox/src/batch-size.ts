/** How many events a batch has at most. */
export const MAX_BATCH = 2_000;
/** While nothing is known of the next events, because the last batch was not full: a burst of heavy ones must not come 2,000 at once. */
const FIRST_BATCH = 500;
const MIN_BATCH = 10;
/** What a batch should weigh at most: it is held in memory twice, and Redis takes it in one call. */
const MAX_CHARACTERS = 8_388_608;

export interface BatchSize {
  /** Events of the next claim. */
  limit(): number;
  /** What a claim of `events` weighed: heavy ones make the next smaller, full batches of light ones let it grow. */
  weighed(events: number, characters: number): void;
  /** Redis did not answer in time: the same batch again would not be any faster. */
  tooSlow(): void;
}

export function createBatchSize(): BatchSize {
  let limit = FIRST_BATCH;
  return {
    limit: () => limit,
    weighed(events, characters) {
      if (events === 0) return;
      const affordable = Math.floor((MAX_CHARACTERS * events) / Math.max(characters, 1));
      limit = Math.max(MIN_BATCH, Math.min(MAX_BATCH, affordable, events === limit ? limit * 2 : Math.min(limit, FIRST_BATCH)));
    },
    tooSlow: () => void (limit = Math.max(MIN_BATCH, Math.floor(limit / 4))),
  };
}
