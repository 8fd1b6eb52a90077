import { CronExpressionParser } from 'cron-parser';

/** The last time at or before `now` that a pattern (cron, with seconds in front or without, in a time zone) names. */
export function lastDue(pattern: string, timeZone: string, now: Date): Date {
  return CronExpressionParser.parse(pattern, { tz: timeZone, currentDate: new Date(now.getTime() + 1) }).prev().toDate();
}

/** The parser itself takes fewer fields than five, and means something else by them. */
export function isCron(pattern: string): boolean {
  if (!/^\S+( \S+){4,5}$/.test(pattern)) return false;
  try {
    CronExpressionParser.parse(pattern).next();
    return true;
  } catch {
    return false;
  }
}

export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
