import type { Killed } from './crew.ts';
import type { Truth } from './truth.ts';

/** A kill of Redis. */
export interface RedisKilled {
  /** By Date.now(). */
  readonly at: number;
  /** The last change that was numbered before. */
  readonly lastNumber: number;
  readonly isPowerLoss: boolean;
}

/** Milliseconds from each kill to the first effect that the same consumer made after it. Read from the effects' own times, after the run. */
export async function consumerRecoveries({ pool, schema }: Truth, kills: readonly Killed[]): Promise<number[]> {
  const { rows } = await pool.query<{ ms: number | null }>(
    `select (select extract(epoch from min(at) - kill.killed) * 1000 from ${schema}.effects where consumer = kill.name and at > kill.killed)::float8 as ms
     from (select name, to_timestamp(ms / 1000) as killed from unnest($1::text[], $2::float8[]) as given(name, ms)) as kill`,
    [kills.map(({ consumer }) => consumer), kills.map(({ at }) => at)],
  );
  return rows.flatMap(({ ms }) => (ms === null ? [] : [ms]));
}

/** Milliseconds from each kill of Redis to the first effect of a change that was made after it: written, relayed, delivered, committed. */
export async function redisRecoveries({ pool, schema }: Truth, kills: readonly RedisKilled[]): Promise<number[]> {
  const { rows } = await pool.query<{ ms: number | null }>(
    `select (select extract(epoch from min(at) - kill.killed) * 1000 from ${schema}.effects where n > kill.last and at > kill.killed)::float8 as ms
     from (select last, to_timestamp(ms / 1000) as killed from unnest($1::bigint[], $2::float8[]) as given(last, ms)) as kill`,
    [kills.map(({ lastNumber }) => lastNumber), kills.map(({ at }) => at)],
  );
  return rows.flatMap(({ ms }) => (ms === null ? [] : [ms]));
}

/** How many of the moments had effects in the second before. */
export async function momentsInFlow({ pool, schema }: Truth, moments: readonly number[]): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::int as count from (select to_timestamp(ms / 1000) as moment from unnest($1::float8[]) as given(ms)) as moments
     where exists (select 1 from ${schema}.effects where at between moment - interval '1 second' and moment)`,
    [moments],
  );
  return rows[0]?.count ?? 0;
}
