export interface Rate {
  /** Call it after each batch. Rows a second of late; undefined before there is one. */
  readonly add: (rows: number) => number | undefined;
}

/** Rows a second over the last `windowMs` (or since the first batch). */
export function createRate(windowMs = 10_000, nowMs: () => number = () => performance.now()): Rate {
  const startMs = nowMs();
  let seen: { readonly atMs: number; readonly rows: number }[] = [];
  return {
    add: (rows) => {
      const now = nowMs();
      seen = [...seen.filter(({ atMs }) => now - atMs < windowMs), { atMs: now, rows }];
      const total = seen.reduce((sum, batch) => sum + batch.rows, 0);
      const ms = Math.min(windowMs, now - startMs);
      return ms > 0 ? (total / ms) * 1_000 : undefined;
    },
  };
}

/** Seconds until `total` rows are through; null where total or rate is unknown, or the rows are through. */
export function etaSeconds({ rows, total, rowsPerSecond }: { readonly rows: number; readonly total: number | null; readonly rowsPerSecond: number | null }): number | null {
  if (total === null || rowsPerSecond === null || rowsPerSecond <= 0 || rows >= total) return null;
  return Math.ceil((total - rows) / rowsPerSecond);
}
