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

/** The gateway waits 60 s. */
const TIMEOUT_MS = 55_000;

/**
 * By variant, of one moment. A user's time for purchases begins with the first list of this experiment. Merged names are one user, of the variant of the
 * first list; lists of another variant, from before the merge, are left out.
 */
export async function countVariants(db: RecsDb, { key, conversion_days: days }: Pick<Experiment, 'key' | 'conversion_days'>): Promise<readonly VariantCounts[]> {
  const { rows } = await db.transaction().setAccessMode('read only').execute(async (trx) => {
    // Everything is read anyway; a planner that takes a young table for small would compare each user with each purchase.
    await sql`select set_config('enable_nestloop', 'off', true), set_config('statement_timeout', ${`${TIMEOUT_MS}`}, true)`.execute(trx);
    return await sql<Record<Exclude<keyof VariantCounts, 'variant'>, string> & { variant: string }>`
    with named as (
      select l.*, coalesce(a.user_id, l.user_id) as person from recs.experiment_lists l left join recs.user_aliases a on a.alias = l.user_id where l.experiment = ${key}),
    lists as (
      select l.variant, l.person, l.served_at, l.seen or exists (select from recs.impressions i where i.ranking_id = l.ranking_id) as seen,
        c.ranking_id is not null as clicked
      from named l left join (select distinct ranking_id from recs.experiment_events where kind = 'click') c on c.ranking_id = l.ranking_id),
    shown as (
      select variant, person, min(served_at) as first_at, count(*) as lists, count(*) filter (where seen) as seen, count(*) filter (where seen and clicked) as clicked
      from lists group by variant, person),
    users as (select distinct on (person) * from shown order by person, first_at, variant),
    bought as (
      select coalesce(a.user_id, e.user_id) as person, e.happened_at from recs.experiment_events e left join recs.user_aliases a on a.alias = e.user_id where e.kind = 'purchase'),
    buyers as (
      select distinct u.person from users u join bought b on b.person = u.person and b.happened_at >= u.first_at and b.happened_at < u.first_at + make_interval(days => ${days}))
    select variant, count(*) as users, count(*) filter (where first_at > now() - make_interval(days => ${days})) as open,
      sum(lists) as lists, sum(seen) as seen, sum(clicked) as clicked, count(*) filter (where seen > 0) as viewers,
      sum(seen * seen) as "seenSquared", sum(clicked * clicked) as "clickedSquared", sum(seen * clicked) as product,
      count(buyers.person) as buyers
    from users left join buyers on buyers.person = users.person group by variant`.execute(trx);
  });
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
