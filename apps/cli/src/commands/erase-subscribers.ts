import { eraseSubscribers, parseIsdn } from '@millrace/subscribers';
import type { ErasureReport, Stores } from '@millrace/subscribers';
import { UsageError } from '../usage-error.ts';

const MAX_ISDNS = 10_000;

async function textsOf(given: readonly string[], readInput: () => Promise<string>): Promise<string[]> {
  if (!given.includes('-')) return [...given];
  if (given.length > 1) throw new UsageError('name ISDNs, or - to read them from standard input, one a line, not both');
  return (await readInput()).split('\n').map((line) => line.trim()).filter((line) => line !== '');
}

/** ISDNs of the arguments, or of `-`: lines of standard input, so that they are in no shell history. A bad one is told by its place, never by its text. */
export async function readIsdns(given: readonly string[], readInput: () => Promise<string>): Promise<string[]> {
  const texts = await textsOf(given, readInput);
  if (texts.length === 0) throw new UsageError('no ISDN was given: name one, or - to read them from standard input, one a line');
  if (texts.length > MAX_ISDNS) throw new UsageError(`at most ${MAX_ISDNS} ISDNs at once, ${texts.length} were given`);
  return texts.map((text, at) => {
    const isdn = parseIsdn(text);
    if (isdn === undefined) throw new UsageError(`ISDN ${at + 1} of ${texts.length} is neither a Vietnamese mobile number nor a token of 8 to 128 characters without spaces. Nothing was changed`);
    return isdn;
  });
}

const REST = 'They are answered 404 and left out of loads from now on. The rest is done by the load before it switches, or by a running ut360-lookup within UT360_CHECK_MS; or run the same again';

/** For people; without ISDNs. */
export function describeErased({ subscribers, recorded, state, waits_for: waitsFor, rows }: ErasureReport): string[] {
  const gone = Object.entries(rows).map(([table, count]) => `${count} of ${table}`).join(', ');
  const whose = `${subscribers} subscriber${subscribers === 1 ? '' : 's'}${recorded < subscribers ? ` (${subscribers - recorded} of them before)` : ''}`;
  if (state === 'done') return [`erased: ${whose}; rows: ${gone === '' ? 'none' : gone}`];
  return [`recorded: ${whose}; rows so far: ${gone === '' ? 'none' : gone}`, `not finished: ${waitsFor === 'redis' ? 'Redis (UT360_REDIS_URL) does not answer' : 'a load is running'}. ${REST}`];
}

/** Waits for a running load, and for Redis, up to `waitSeconds`. */
export async function eraseIsdns(stores: Stores, isdns: readonly string[], waitSeconds: number): Promise<ErasureReport> {
  if (!Number.isFinite(waitSeconds) || waitSeconds < 0 || waitSeconds > 86_400) throw new UsageError('--wait must be a number of seconds from 0 to 86400');
  return await eraseSubscribers(stores, isdns, { waitMs: waitSeconds * 1_000 });
}
