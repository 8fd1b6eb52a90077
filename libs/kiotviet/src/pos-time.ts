const VIETNAM_MS = 7 * 3_600_000;

/** A time of the POS: local time of Vietnam (UTC+7, no summer time) where it names no zone. Milliseconds since 1970; undefined where it is none. */
export function parsePosTime(text: string | null | undefined): number | undefined {
  if (text === null || text === undefined || text === '') return undefined;
  const ms = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}+07:00`);
  // It writes the year 1 for "never".
  return Number.isNaN(ms) || ms < 0 ? undefined : ms;
}

/** In the form that the POS itself writes, without a zone. */
export const formatPosTime = (ms: number): string => new Date(ms + VIETNAM_MS).toISOString().replace('Z', '');
