import type { PoolClient } from 'pg';
import { LateWriterError } from './catalogue.ts';

/** For the transaction of a write: from now on nobody with a smaller number writes. Throws LateWriterError where a larger one was seen. */
export async function raiseFence(client: PoolClient, fence: number): Promise<void> {
  const { rowCount } = await client.query('update pos.state set fence = $1 where fence <= $1', [fence]);
  if (rowCount === 0) throw new LateWriterError('a later writer has taken over');
}
