import { Client } from 'pg';
import { pause } from '@millrace/bus';

export interface LeadershipOptions {
  /** A direct connection string: a transaction pooler keeps neither advisory locks nor LISTEN. */
  readonly directUrl: string;
  /** What there is one leader of. */
  readonly lockName: string;
  readonly channel: string;
  readonly onNotify: () => void;
}

/** The advisory lock, held by a connection of its own: when the connection goes, so does the leadership, and a standby takes over. */
export interface Leadership {
  isHeld(): boolean;
  /** Asks the server, so that a connection that is dead without a sign is noticed. */
  check(): Promise<void>;
  release(): Promise<void>;
}

const TRY_EVERY_MS = 250;

/** Resolves once this process leads; undefined when `stop` came first. Rejects where the database cannot be reached. */
export async function acquireLeadership({ directUrl, lockName, channel, onNotify }: LeadershipOptions, stop: AbortSignal): Promise<Leadership | undefined> {
  let isHeld = false;
  const client = new Client({ connectionString: directUrl, keepAlive: true, keepAliveInitialDelayMillis: 5_000, connectionTimeoutMillis: 5_000, query_timeout: 5_000, application_name: 'outbox-relay' });
  const drop = (): void => {
    const was = isHeld;
    isHeld = false;
    if (was) onNotify();
  };
  client.on('error', drop).on('end', drop).on('notification', onNotify);
  const release = async (): Promise<void> => {
    isHeld = false;
    await client.end().catch(() => undefined);
  };
  try {
    await client.connect();
    while (!stop.aborted) {
      const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock(hashtextextended($1, 0)) as locked', [`outbox-relay ${lockName}`]);
      if (rows[0]?.locked) {
        isHeld = true;
        await client.query(`listen ${client.escapeIdentifier(channel)}`);
        return {
          isHeld: () => isHeld,
          async check() {
            await client.query('select 1').catch(drop);
          },
          release,
        };
      }
      await pause(TRY_EVERY_MS, stop);
    }
    await release();
    return undefined;
  } catch (error) {
    await release();
    throw error;
  }
}
