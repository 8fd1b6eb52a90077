import { newEventSchema } from '@millrace/contracts';
import type { LoggedEvents } from '@millrace/contracts';
import { FailedError } from '../failed-error.ts';
import { UsageError } from '../usage-error.ts';
import { fileRows } from './file-rows.ts';
import type { FileRow, ReadOptions } from './file-rows.ts';
import { layoutOf } from './layouts.ts';
import type { Draft, Layout, LayoutOptions } from './layouts.ts';
import { paced } from './pace.ts';
import type { PaceOptions, Ready } from './pace.ts';

export interface ReplayOptions extends Pick<ReadOptions, 'format' | 'delimiter'>, LayoutOptions, Pick<PaceOptions, 'speed' | 'batch' | 'nowMs' | 'wait'> {
  /** Events that are sent at most. */
  readonly limit: number;
  /** Moves all times by the same span, so that the newest event is now. Reads the file twice. */
  readonly shiftToNow: boolean;
}

export interface ReplayDeps {
  /** Takes a batch; undefined: it was aborted. In a dry run it only checks. */
  readonly send: (batch: readonly Ready[]) => Promise<LoggedEvents | undefined>;
  readonly signal: AbortSignal;
  /** What is wrong with a line of the file. */
  readonly onProblem: (line: number, problem: string) => void;
  readonly onProgress: (done: number, total: number, events: number) => void;
}

export interface ReplaySummary {
  /** Rows that could be read. */
  readonly rows: number;
  readonly sent: number;
  readonly accepted: number;
  /** Of them in the live context. */
  readonly live: number;
  readonly failed: number;
  /** By why: rows that are no events. */
  readonly skipped: ReadonlyMap<string, number>;
  /** undefined: it came to its end. */
  readonly failure: unknown;
  readonly isAborted: boolean;
}

interface Sum { rows: number; sent: number; accepted: number; live: number; failed: number; skipped: Map<string, number> }

/** What failed is the file, not what was done with it. */
const brokenFile = (error: unknown, line: number): unknown =>
  error instanceof UsageError ? error : new FailedError(`the file breaks off after line ${line}: ${error instanceof Error ? error.message : ''}`, { cause: error });

/** The file's rows. @throws FailedError where it breaks off */
async function* rowsOf(file: string, options: ReadOptions): AsyncGenerator<FileRow> {
  const rows = fileRows(file, options);
  try {
    for (let line = 0; ; ) {
      const next = await rows.next().catch((error: unknown) => {
        throw brokenFile(error, line);
      });
      if (next.done === true) return;
      line = next.value.line;
      yield next.value;
    }
  } finally {
    // Whoever needs no more of it closes the file.
    await rows.return(undefined);
  }
}

async function* draftsOf(file: string, options: ReplayOptions, onProgress: ReadOptions['onProgress'], onRow: () => void = () => undefined): AsyncGenerator<Draft> {
  let layout: Layout | undefined;
  for await (const row of rowsOf(file, { ...options, onProgress })) {
    onRow();
    if ('problem' in row) yield row;
    else {
      layout ??= layoutOf(row.record, options);
      yield* layout(row);
    }
  }
}

/** The newest time of what would be sent; undefined: none has one. */
async function newestOf(file: string, options: ReplayOptions, signal: AbortSignal): Promise<number | undefined> {
  let newest: number | undefined;
  let events = 0;
  for await (const draft of draftsOf(file, options, () => undefined)) {
    if (signal.aborted || events >= options.limit) return newest;
    if (!('event' in draft)) continue;
    events += 1;
    if (draft.atMs !== undefined && draft.atMs > (newest ?? -Infinity)) newest = draft.atMs;
  }
  return newest;
}

const shifted = (ready: Ready, byMs: number): Ready => (byMs === 0 || ready.atMs === undefined ? ready : { ...ready, atMs: ready.atMs + byMs, event: { ...ready.event, timestamp: ready.atMs + byMs } });

function addAnswer(sum: Sum, batch: readonly Ready[], answer: LoggedEvents, onProblem: ReplayDeps['onProblem']): void {
  sum.sent += batch.length;
  for (const result of answer.results) {
    if (result.success) {
      sum.accepted += 1;
      if (result.context === 'live') sum.live += 1;
    } else {
      sum.failed += 1;
      onProblem(batch[result.index]?.line ?? 0, `${result.pointer} ${result.detail}`.trim());
    }
  }
}

/**
 * Replays a file, streamed: one batch and 50,000 events at most are in memory (beside a row group of Parquet). Never throws for what happens on the way:
 * `failure` has it, and the sums are of what was done until then.
 */
export async function replayEvents(file: string, options: ReplayOptions, { send, signal, onProblem, onProgress }: ReplayDeps): Promise<ReplaySummary> {
  const sum: Sum = { rows: 0, sent: 0, accepted: 0, live: 0, failed: 0, skipped: new Map() };
  const fail = (line: number, problem: string): void => {
    sum.failed += 1;
    onProblem(line, problem);
  };
  const ready = async function* (byMs: number): AsyncGenerator<Ready> {
    let events = 0;
    const drafts = draftsOf(file, options, (done, total) => onProgress(done, total, sum.sent), () => { sum.rows += 1; });
    for await (const draft of drafts) {
      if (signal.aborted) return;
      if ('skipped' in draft) sum.skipped.set(draft.skipped, (sum.skipped.get(draft.skipped) ?? 0) + 1);
      else if ('problem' in draft) fail(draft.line, draft.problem);
      else {
        yield shifted(draft, byMs);
        if ((events += 1) >= options.limit) return;
      }
    }
  };
  let failure: unknown;
  try {
    const newest = options.shiftToNow ? await newestOf(file, options, signal) : undefined;
    for await (const batch of paced(ready(newest === undefined ? 0 : Date.now() - newest), { ...options, signal })) {
      const answer = await send(batch);
      if (!answer) break;
      addAnswer(sum, batch, answer, onProblem);
    }
  } catch (error) {
    failure = error;
  }
  return { ...sum, failure, isAborted: signal.aborted };
}

/** What the service would answer about the values, without it. */
export const checkOnly = async (batch: readonly Ready[]): Promise<LoggedEvents> => {
  const results = batch.map(({ event }, index): LoggedEvents['results'][number] => {
    const parsed = newEventSchema.safeParse(event);
    if (parsed.success) return { index, success: true, event_id: parsed.data.event_id ?? '', context: 'deferred' };
    const [issue] = parsed.error.issues;
    return { index, success: false, code: 'invalid_request', pointer: issue ? `/${issue.path.join('/')}` : '', detail: issue?.message ?? 'is not valid' };
  });
  const failed = results.filter(({ success }) => !success).length;
  return { accepted: results.length - failed, failed, results };
};
