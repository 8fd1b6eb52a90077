import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  /** Bytes sent, of how many. */
  bytes(sent: number, total: number): void;
  rows(rows: number): void;
  stop(): void;
}

const PLAIN_EVERY_MS = 2_000;

/** A bar with rate and ETA on a terminal, a plain line every two seconds elsewhere. */
export function createProgress(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? bar(stream) : plain(stream);
}

function bar(stream: NodeJS.WriteStream): Progress {
  const single = new SingleBar({ stream, format: '{bar} {percentage}% | {rows} rows, {rate} rows/s | ETA {eta_formatted}', hideCursor: true, clearOnComplete: false }, Presets.shades_classic);
  const startMs = performance.now();
  let rows = 0;
  let started = false;
  const state = (): { rows: number; rate: number } => ({ rows, rate: Math.round((rows / (performance.now() - startMs)) * 1_000) });
  return {
    bytes: (sent, total) => {
      if (!started) single.start(total, 0, state());
      started = true;
      single.update(sent, state());
    },
    rows: (count) => { rows = count; },
    stop: () => { if (started) single.stop(); },
  };
}

function plain(stream: NodeJS.WriteStream): Progress {
  const startMs = performance.now();
  let share = 0;
  let printedMs = startMs;
  return {
    bytes: (sent, total) => { share = total === 0 ? 1 : sent / total; },
    rows: (count) => {
      const nowMs = performance.now();
      if (nowMs - printedMs < PLAIN_EVERY_MS) return;
      printedMs = nowMs;
      const seconds = (nowMs - startMs) / 1_000;
      const eta = share > 0 ? Math.ceil((seconds / share) * (1 - share)) : undefined;
      stream.write(`${Math.floor(share * 100)} %, ${count} rows, ${Math.round(count / seconds)} rows/s${eta === undefined ? '' : `, ETA ${eta} s`}\n`);
    },
    stop: () => undefined,
  };
}
