/** One line of a benchmark's table. `ratio` = value / baseline of the same run; `goal` is the floor or ceiling that is promised. */
export interface BenchRow {
  readonly operation: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: number | null;
  readonly ratio: number | null;
  readonly goal: string;
  readonly met: boolean | null;
}

export const percentile = (values: readonly number[], share: number): number => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
export const median = (values: readonly number[]): number => percentile(values, 0.5);

/** Milliseconds of one run. */
export async function msOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

export interface Pairs { readonly a: readonly number[]; readonly b: readonly number[]; readonly ratio: number }

/** Runs A and B in turn, each first every other time, so that what else the machine does meets both; the ratio is the median of the pairs' ratios. */
export async function alternate(pairs: number, a: () => Promise<number>, b: () => Promise<number>): Promise<Pairs> {
  const as: number[] = [];
  const bs: number[] = [];
  for (let i = 0; i < pairs; i += 1) {
    if (i % 2 === 0) as.push(await a());
    bs.push(await b());
    if (i % 2 === 1) as.push(await a());
  }
  return { a: as, b: bs, ratio: median(as.map((value, at) => value / (bs[at] ?? Number.NaN))) };
}

export interface RowOptions { readonly unit: string; readonly atMost?: number; readonly atLeast?: number; readonly baseline?: number; readonly ratio?: number; readonly ratioAtMost?: number; readonly ratioAtLeast?: number }

const round = (value: number): number => Number(value.toPrecision(4));

/** A row whose goal is on the value or on the ratio. */
export function row(operation: string, value: number, { unit, atMost, atLeast, baseline, ratio, ratioAtMost, ratioAtLeast }: RowOptions): BenchRow {
  const goals: readonly (readonly [string, boolean])[] = [
    ...(atMost === undefined ? [] : [[`<= ${atMost}`, value <= atMost] as const]),
    ...(atLeast === undefined ? [] : [[`>= ${atLeast}`, value >= atLeast] as const]),
    ...(ratioAtMost === undefined ? [] : [[`ratio <= ${ratioAtMost}`, (ratio ?? Number.NaN) <= ratioAtMost] as const]),
    ...(ratioAtLeast === undefined ? [] : [[`ratio >= ${ratioAtLeast}`, (ratio ?? Number.NaN) >= ratioAtLeast] as const]),
  ];
  return {
    operation, value: round(value), unit, baseline: baseline === undefined ? null : round(baseline), ratio: ratio === undefined ? null : round(ratio),
    goal: goals.map(([text]) => text).join(', '), met: goals.length === 0 ? null : goals.every(([, met]) => met),
  };
}
