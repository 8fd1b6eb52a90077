import type { Pool, PoolClient } from 'pg';
import type { DatasetName } from '../datasets.ts';
import { qualified, schema } from '../load/tables.ts';
import { KEPT_MONTHS } from './months.ts';
import type { Triple } from './pointer.ts';

/** Rows of service and risk that an answer has at most; of more, those with the most subscribers. */
export const MAX_ANALYTICS_ROWS = 1_000;
export const DECILES = 10;
const DECIMALS = 4;
/** Hash tables of a million subscribers; more goes to disk. */
const WORK_MEM = '64MB';

/**
 * The migration of analytics: one row for each set, written before the set becomes live. The documents are JSON as text, so that every number stays the
 * NUMERIC that it was. A set without a row is computed when it is asked for, and so is one whose tables have lost rows since (`*_rows`): somebody was
 * erased. Deleting rows is safe at any time.
 */
export const analyticsTableStatements = (): readonly string[] => [
  `create table ${schema}.analytics (
    redis integer primary key references ${schema}.generation_sets,
    services json not null,
    arpu json not null,
    recommendation_rows bigint not null,
    arpu_rows bigint not null,
    made_at timestamptz not null default now())`,
];

const mean = (column: string): string => `round(avg(${column}), ${DECIMALS})`;
const total = (column: string): string => `coalesce(sum(${column}), 0)`;

/**
 * `{data, totals, left_out}` of recommendations by service and risk. Sums are exact; amounts that are null count as nothing, and nothing known is 0.
 * `avg_value` is the mean customer_value_score of those who have one, with four decimals; null: nobody has.
 */
const servicesQuery = (recommendations: string): string => {
  const sums = `count(*) as subscriber_count, ${total('advance_amount')} as total_advance, ${total('revenue_per_advance')} as total_revenue, ${mean('customer_value_score')} as avg_value`;
  return `
    with found as materialized (
      select service_type, bad_debt_risk, grouping(service_type) as is_total, ${sums} from ${recommendations} group by grouping sets ((service_type, bad_debt_risk), ())),
    shown as (select * from found where is_total = 0 order by subscriber_count desc, service_type collate "C", bad_debt_risk limit ${MAX_ANALYTICS_ROWS})
    select json_build_object(
      'data', (select coalesce(json_agg(json_build_object('service_type', service_type, 'bad_debt_risk', bad_debt_risk, 'subscriber_count', subscriber_count,
        'total_advance', total_advance, 'total_revenue', total_revenue, 'avg_value', avg_value) order by service_type collate "C", array_position(array['LOW', 'MEDIUM', 'HIGH'], bad_debt_risk)), '[]'::json) from shown),
      'totals', (select json_build_object('subscriber_count', subscriber_count, 'total_advance', total_advance, 'total_revenue', total_revenue, 'avg_value', avg_value) from found where is_total = 1),
      'left_out', (select count(*) from found where is_total = 0) - (select count(*) from shown))`;
};

const KINDS = ['call', 'sms', 'data', 'total'] as const;

/**
 * `{data, deciles}` of monthly ARPU. The deciles: take the newest 24 months of the table (up to its newest month); for each subscriber the mean of the
 * arpu_total that are not null in them; sort by that mean, equals by ISDN (bytes); cut into ten parts whose sizes differ by one at most, the larger ones
 * first (ntile). 1 has the lowest means, 10 the highest. Zeros and negative values are values like others: negative means are in decile 1 as a rule.
 * Who has no arpu_total at all is in no decile: `decile` null. A subscriber is in the same decile in every month. `data` has one row for each month and
 * decile that has rows: subscribers with a row in that month, and of each kind the mean over those that are not null (four decimals; null: none is) and
 * the exact sum. A subscriber without a row in a month counts for nothing there, not as zero.
 */
const arpuQuery = (arpu: string, number: number): string => `
    with months as not materialized (
      select isdn, data_month, ${KINDS.map((kind) => `arpu_${kind}`).join(', ')} from ${arpu}
      where data_month > (select last_month from ${schema}.dataset_generations where dataset = 'arpu' and number = ${number}) - interval '${KEPT_MONTHS} months'),
    means as (select isdn, avg(arpu_total) as mean from months group by isdn),
    ranked as materialized (select isdn, mean, case when mean is not null then ntile(${DECILES}) over (partition by mean is null order by mean, isdn) end as decile from means),
    monthly as (
      select data_month, decile, count(*) as subscribers, ${KINDS.map((kind) => `${mean(`arpu_${kind}`)} as ${kind}_mean, ${total(`arpu_${kind}`)} as ${kind}_total`).join(', ')}
      from months join ranked using (isdn) group by data_month, decile),
    bounds as (select decile, count(*) as subscribers, round(min(mean), ${DECIMALS}) as mean_from, round(max(mean), ${DECIMALS}) as mean_to from ranked group by decile)
    select json_build_object(
      'deciles', (select coalesce(json_agg(json_build_object('decile', decile, 'subscribers', subscribers, 'mean_from', mean_from, 'mean_to', mean_to) order by decile nulls last), '[]'::json) from bounds),
      'data', (select coalesce(json_agg(json_build_object('month', to_char(data_month, 'YYYY-MM'), 'decile', decile, 'subscribers', subscribers,
        ${KINDS.map((kind) => `'${kind}', json_build_object('mean', ${kind}_mean, 'total', ${kind}_total)`).join(', ')}) order by data_month, decile nulls last), '[]'::json) from monthly))`;

/** Texts of JSON. */
export interface StoredAnalytics {
  readonly services: string;
  readonly arpu: string;
}

const rowsOf = (dataset: DatasetName, number: string): string => `(select rows from ${schema}.dataset_generations where dataset = '${dataset}' and number = ${number})`;

/** Undefined: not computed from these rows yet, or the set is gone. */
export async function readAnalytics(db: Pick<Pool | PoolClient, 'query'>, redis: number): Promise<StoredAnalytics | undefined> {
  const { rows } = await db.query<StoredAnalytics>(
    `select a.services::text as services, a.arpu::text as arpu from ${schema}.analytics a join ${schema}.generation_sets s using (redis)
     where a.redis = $1 and a.recommendation_rows = ${rowsOf('recommendations', 's.recommendations')} and a.arpu_rows = ${rowsOf('arpu', 's.arpu')}`, [redis],
  );
  return rows[0];
}

/**
 * Computes the analytics of a set from its tables and stores them under its number; what is there and right stays. Some seconds for 214,000 subscribers
 * with 1.5 million months. Callers of the same set wait for each other. `client` must not be in a transaction. Rejects where the tables are gone.
 */
export async function storeAnalytics(client: PoolClient, { recommendations, arpu, redis }: Triple & { readonly redis: number }): Promise<void> {
  await client.query('begin');
  try {
    await client.query(`set local statement_timeout = 0`);
    await client.query('set local jit = off');
    await client.query(`set local work_mem = '${WORK_MEM}'`);
    await client.query(`select pg_advisory_xact_lock(hashtext('millrace ut360 analytics'), $1)`, [redis]);
    if ((await readAnalytics(client, redis)) === undefined) {
      await client.query(
        `insert into ${schema}.analytics (redis, services, arpu, recommendation_rows, arpu_rows)
         select $1, (${servicesQuery(qualified('recommendations', recommendations))}), (${arpuQuery(qualified('arpu', arpu), arpu)}), ${rowsOf('recommendations', String(recommendations))}, ${rowsOf('arpu', String(arpu))}
         on conflict (redis) do update set services = excluded.services, arpu = excluded.arpu, recommendation_rows = excluded.recommendation_rows, arpu_rows = excluded.arpu_rows, made_at = now()`, [redis],
      );
    }
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/** Removes those of sets that are gone. */
export async function dropAnalytics(client: Pick<PoolClient, 'query'>): Promise<void> {
  await client.query(`delete from ${schema}.analytics a using ${schema}.generation_sets s where s.redis = a.redis and s.state = 'dropped'`);
}
