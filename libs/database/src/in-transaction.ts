import type { Pool, PoolClient } from 'pg';

/** Commits what `work` did, or rolls it back and rejects. A connection that breaks meanwhile rejects the next query, and is not used again. */
export async function inTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // A client in use tells its pool nothing: without a listener this would end the process.
  const onError = (error: Error): void => void (broken = error);
  client.on('error', onError);
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((failure: unknown) => (broken ??= failure instanceof Error ? failure : new Error('rollback failed')));
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}
