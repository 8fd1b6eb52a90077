import type { LoadPhase, LoadProgress } from '@millrace/subscribers';
import { Presets, SingleBar } from 'cli-progress';

export interface ShownProgress extends LoadProgress {
  /** A line of its own. */
  say(line: string): void;
  stop(): void;
}

type What = Parameters<LoadProgress['step']>[1];

const PLAIN_EVERY_MS = 2_000;
const titles: Readonly<Record<LoadPhase, string>> = { read: 'reading', index: 'keys and indexes', redis: 'writing to Redis', check: 'checking', switch: 'switching' };
const titleOf = (phase: LoadPhase, { dataset }: What): string => (dataset === undefined ? titles[phase] : `${titles[phase]}: ${dataset}`);

/** A bar for each phase on a terminal, with rate and ETA; a plain line every two seconds elsewhere. */
export const createLoadProgress = (stream: NodeJS.WriteStream): ShownProgress => (stream.isTTY ? bars(stream) : lines(stream));

function bars(stream: NodeJS.WriteStream): ShownProgress {
  let bar: SingleBar | undefined;
  let current = '';
  let startMs = 0;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  return {
    stop,
    say(line) {
      stop();
      stream.write(`${line}\n`);
    },
    step(phase, what) {
      const title = titleOf(phase, what);
      const rows = what.rows ?? what.done;
      if (title !== current) {
        stop();
        current = title;
        startMs = performance.now();
        bar = new SingleBar({ stream, format: '{title} {bar} {percentage}% | {rows} rows, {rate} rows/s | ETA {eta_formatted}', hideCursor: true }, Presets.shades_classic);
        bar.start(what.total ?? 0, 0, { title: title.padEnd(32), rows: 0, rate: 0 });
      }
      if (what.total !== undefined) bar?.setTotal(what.total);
      bar?.update(what.done, { title: title.padEnd(32), rows, rate: Math.round((rows / Math.max(1, performance.now() - startMs)) * 1_000) });
    },
  };
}

function lines(stream: NodeJS.WriteStream): ShownProgress {
  let current = '';
  let startMs = 0;
  let printedMs = 0;
  return {
    stop: () => undefined,
    say: (line) => void stream.write(`${line}\n`),
    step(phase, what) {
      const title = titleOf(phase, what);
      const nowMs = performance.now();
      const isEnd = what.total !== undefined && what.done >= what.total;
      if (title !== current) {
        current = title;
        startMs = nowMs;
        printedMs = nowMs;
      }
      if (!isEnd && nowMs - printedMs < PLAIN_EVERY_MS) return;
      printedMs = isEnd ? Infinity : nowMs;
      const share = what.total === undefined || what.total === 0 ? undefined : what.done / what.total;
      const seconds = (nowMs - startMs) / 1_000;
      const rows = what.rows ?? what.done;
      const eta = share === undefined || share <= 0 || isEnd ? '' : `, ETA ${Math.ceil((seconds / share) * (1 - share))} s`;
      const measured = phase === 'read' || phase === 'redis' ? `, ${rows} rows, ${Math.round(rows / Math.max(0.001, seconds))} rows/s` : '';
      stream.write(`${title}: ${share === undefined ? '' : `${Math.floor(share * 100)} %`}${measured}${eta}\n`);
    },
  };
}
