import type { Experiment, ExperimentResults } from '@millrace/contracts';
import { sql } from 'kysely';
import type { RecsDb } from './database.ts';
import { differenceInterval, effectiveSize, sampleRatio, sampleSize, wilson } from './intervals.ts';
import type { Rate } from './intervals.ts';
import { countedUntil } from './live-experiments.ts';

/** What is counted of one variant. */
export interface VariantCounts {
  readonly variant: string;
  readonly users: number;
  readonly open: number;
  readonly lists: number;
  readonly seen: number;
  readonly clicked: number;
  /** Users with a seen list, and sums over them. */
  readonly viewers: number;
  readonly seenSquared: number;
  readonly clickedSquared: number;
  readonly product: number;
  readonly buyers: number;
}

/** By variant, of one moment. A user's time for purchases begins with the first list of this experiment. */
export async function countVariants(db: RecsDb, { key, conversion_days: days }: Pick<Experiment, 'key' | 'conversion_days'>): Promise<readonly VariantCounts[]> {
  const { rows } = await sql<Record<Exclude<keyof VariantCounts, 'variant'>, string> & { variant: string }>`
    with lists as (
      select l.variant, l.user_id, l.served_at, l.seen or exists (select from recs.impressions i where i.ranking_id = l.ranking_id) as seen,
        exists (select from recs.experiment_events e where e.ranking_id = l.ranking_id and e.kind = 'click') as clicked
      from recs.experiment_lists l where l.experiment = ${key}),
    users as (
      select variant, user_id, min(served_at) as first_at, count(*)::numeric as lists, count(*) filter (where seen)::numeric as seen, count(*) filter (where seen and clicked)::numeric as clicked
      from lists group by variant, user_id)
    select variant, count(*) as users, count(*) filter (where first_at > now() - make_interval(days => ${days})) as open,
      sum(lists) as lists, sum(seen) as seen, sum(clicked) as clicked, count(*) filter (where seen > 0) as viewers,
      sum(seen * seen) as "seenSquared", sum(clicked * clicked) as "clickedSquared", sum(seen * clicked) as product,
      count(*) filter (where exists (select from recs.experiment_events e where e.user_id = users.user_id and e.kind = 'purchase'
        and e.happened_at >= first_at and e.happened_at < first_at + make_interval(days => ${days}))) as buyers
    from users group by variant`.execute(db);
  return rows.map(({ variant, ...sums }) => ({
    variant, users: Number(sums.users), open: Number(sums.open), lists: Number(sums.lists), seen: Number(sums.seen), clicked: Number(sums.clicked), viewers: Number(sums.viewers),
    seenSquared: Number(sums.seenSquared), clickedSquared: Number(sums.clickedSquared), product: Number(sums.product), buyers: Number(sums.buyers),
  }));
}

const NONE: Omit<VariantCounts, 'variant'> = { users: 0, open: 0, lists: 0, seen: 0, clicked: 0, viewers: 0, seenSquared: 0, clickedSquared: 0, product: 0, buyers: 0 };
const RELATIVE_CHANGE = 0.1;
const MISMATCH = 0.001;

type Result = ExperimentResults['variants'][number];
const clickRateOf = ({ seen, clicked, viewers, seenSquared, clickedSquared, product }: VariantCounts): Rate | undefined =>
  seen === 0 ? undefined : { rate: clicked / seen, count: effectiveSize({ users: viewers, tries: seen, hits: clicked, triesSquared: seenSquared, hitsSquared: clickedSquared, product }) };
const conversionOf = ({ users, buyers }: VariantCounts): Rate | undefined => (users === 0 ? undefined : { rate: buyers / users, count: users });

const shownRate = (rate: Rate | undefined): Result['conversion'] => (rate === undefined ? null : { value: rate.rate, interval: wilson(rate) });
function shownDifference(rate: Rate | undefined, control: Rate | undefined): Result['conversion_difference'] {
  if (rate === undefined || control === undefined || rate === control) return null;
  const interval = differenceInterval(rate, control);
  return { value: rate.rate - control.rate, interval, excludes_zero: interval.low > 0 || interval.high < 0 };
}

/** What the counts say. Pure. */
export function resultsOf(experiment: Experiment, counts: readonly VariantCounts[], now: Date): ExperimentResults {
  const byKey = new Map(counts.map((one) => [one.variant, one]));
  const parts = experiment.variants.map(({ key, weight }) => {
    const counted = byKey.get(key) ?? { variant: key, ...NONE };
    return { key, weight, counted, clicks: clickRateOf(counted), conversion: conversionOf(counted) };
  });
  const [control] = parts;
  const ratio = sampleRatio(parts.map(({ weight, counted: { users } }) => ({ users, weight })));
  const from = control?.conversion?.rate ?? 0;
  const to = from * (1 + RELATIVE_CHANGE);
  const needed = from > 0 && to < 1 ? sampleSize(from, to) : null;
  const isFinal = (countedUntil(experiment) ?? Number.POSITIVE_INFINITY) <= now.getTime() && experiment.status !== 'draft';
  const results = {
    key: experiment.key, status: experiment.status, as_of: now.toISOString(), final: isFinal,
    variants: parts.map(({ key, weight, counted, clicks, conversion }): Result => ({
      key, weight, users: counted.users, open_users: counted.open, lists: counted.lists, lists_seen: counted.seen, lists_clicked: counted.clicked,
      click_rate: shownRate(clicks), click_rate_difference: shownDifference(clicks, control?.clicks), buyers: counted.buyers, conversion: shownRate(conversion), conversion_difference: shownDifference(conversion, control?.conversion),
    })),
    sample_ratio: ratio === undefined ? null : { chi_square: ratio.chiSquare, p_value: ratio.probability, mismatch: ratio.probability < MISMATCH },
    sample_size: { conversion: needed, relative_change: RELATIVE_CHANGE },
  };
  return { ...results, notes: notesOf(results) };
}

function notesOf({ status, final: isFinal, variants, sample_ratio: ratio, sample_size: { conversion: needed } }: Omit<ExperimentResults, 'notes'>): string[] {
  const smallest = Math.min(...variants.map(({ users }) => users));
  const notes: [boolean, string][] = [
    [ratio?.mismatch === true, 'Users are not divided as the weights say (sample ratio mismatch): find out why before you believe a difference.'],
    [status !== 'draft' && !isFinal, 'The experiment is not over: the intervals hold for one look at a time that was fixed before, not for stopping when a difference shows up.'],
    [variants.some(({ open_users: open }) => open > 0), 'The time for a purchase is not over for some users: conversions will still grow.'],
    [variants.some(({ lists }) => lists > 0) && variants.every(({ lists_seen: seen }) => seen === 0), 'No list has an impression: send POST /api/impressions, else there is no click rate.'],
    [needed !== null && smallest < needed, `The smallest variant has ${smallest} users; about ${needed ?? 0} would be needed in each to find a change of the conversion by a tenth in 80 of 100 cases.`],
    [variants.length > 2, `Each of the ${variants.length - 1} comparisons with the control is wrong in 5 of 100 cases by itself: nothing is corrected for there being several.`],
  ];
  return notes.flatMap(([isSo, note]) => (isSo ? [note] : []));
}
