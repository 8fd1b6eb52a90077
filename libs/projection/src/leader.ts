import { Client } from 'pg';

export interface LeaderDeps {
  /** Around any pooler: the lock belongs to the session. */
  readonly directUrl: string;
  /** Two words that name the lock; every instance of the service uses the same. */
  readonly lock: string;
}

/**
 * Runs `work` on one instance at a time: undefined where another one is at it. The lock ends with its session, so a crash frees it;
 * `lost` is aborted when the session breaks while `work` runs, because another instance may lead from then on.
 */
export async function runAsLeader<T>({ directUrl, lock }: LeaderDeps, work: (lost: AbortSignal) => Promise<T>): Promise<{ readonly result: T } | undefined> {
  const client = new Client({ connectionString: directUrl, application_name: `leader:${lock}`, connectionTimeoutMillis: 5_000, keepAlive: true });
  const lost = new AbortController();
  client.on('error', (error) => lost.abort(new Error(`the lock ${lock} is lost`, { cause: error })));
  client.on('end', () => lost.abort(new Error(`the lock ${lock} is lost`)));
  await client.connect();
  try {
    const found = await client.query<{ locked: boolean }>('select pg_try_advisory_lock(hashtextextended($1, 0)) as locked', [lock]);
    return found.rows[0]?.locked === true ? { result: await work(lost.signal) } : undefined;
  } finally {
    await client.end();
  }
}
