import { escapeIdentifier } from 'pg';


const TIMESTAMP = `to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
/** Everything as text: nothing is parsed on the way. Sort by the tables' columns, never by these of the same name ("10" < "9"). */
const EVENT = `stream, event_id::text, event_type, coalesce(key, ''), coalesce(version::text, ''), coalesce(data, ''), coalesce(traceparent, ''), ${TIMESTAMP}, seq::text`;
const COLUMNS = 'seq, event_id, stream, event_type, key, version, data, traceparent, created_at';

export type Statements = ReturnType<typeof createStatements>;

/** The relay's SQL for one schema. */
export function createStatements(schema: string) {
  const table = (name: string): string => `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
  const [outbox, published, batches, state] = [table('outbox'), table('outbox_published'), table('relay_batches'), table('relay_state')];
  const batchId = `'${table('relay_batch_ids').replaceAll("'", "''")}'`;
  return {
    /** $1 streams, $2 limit. Takes the oldest rows that no open transaction holds and moves them; a rollback brings them back. */
    claim: `
      with claimed as (
        delete from ${outbox} where seq = any(array(
          select seq from ${outbox} where stream = any($1::text[]) order by seq limit $2 for update skip locked))
        returning ${COLUMNS}
      ), batch as materialized (
        select nextval(${batchId}) as id where exists (select 1 from claimed)
      ), moved as (
        insert into ${published} (batch_id, ${COLUMNS}) select batch.id, ${COLUMNS} from claimed, batch
      )
      select batch.id::text, ${EVENT} from claimed, batch order by claimed.seq`,
    /** $1 id, $2 stream, $3 first seq, $4 last seq, $5 ms, $6 number, $7 entries */
    insertBatch: `insert into ${batches} (id, stream, first_seq, last_seq, last_ms, last_number, entries) values ($1, $2, $3, $4, $5, $6, $7)`,
    /** $1 stream, $2 epoch of a stream that has none yet */
    ensureState: `insert into ${state} (stream, epoch) values ($1, $2) on conflict (stream) do nothing`,
    readState: `select epoch, republish_from::text from ${state} where stream = $1`,
    ...layoutStatements(batches, state),
    /** $1 stream */
    lastBatch: `select last_ms::text || '-' || last_number::text as last_id from ${batches} as batches where stream = $1 order by batches.id desc limit 1`,
    /** $1 stream, $2 ms, $3 number: the first batch that is not wholly in a stream which ends there */
    firstLost: `select min(id)::text as id from ${batches} where stream = $1 and (last_ms, last_number) > ($2::bigint, $3::bigint)`,
    /** $1 stream, $2 old epoch, $3 new epoch, $4 republish from. No row: another relay has taken over. */
    setEpoch: `update ${state} set epoch = $3, republish_from = $4 where stream = $1 and epoch = $2 returning epoch`,
    /** $1 stream, $2 from */
    batchesFrom: `select id::text, entries from ${batches} as batches where stream = $1 and id >= $2 order by batches.id limit 500`,
    /** $1 stream, $2 first batch, $3 last batch */
    publishedRows: `select batch_id::text, ${EVENT} from ${published} as published where stream = $1 and batch_id between $2 and $3 order by published.batch_id, published.seq`,
    /** $1 stream, $2 first batch, $3 last batch, $4 ms, $5 number, $6 epoch. The batches are in the stream again, under new ids; the replay goes on behind them. */
    advanceReplay: `
      with moved as (update ${batches} set last_ms = $4, last_number = $5 where stream = $1 and id between $2 and $3)
      update ${state} set republish_from = $3 + 1 where stream = $1 and epoch = $6 returning epoch`,
    /** $1 stream, $2 epoch */
    endReplay: `update ${state} set republish_from = null where stream = $1 and epoch = $2 returning epoch`,
    /** $1 streams. Counting stops at 100,000. */
    backlog: `
      select (select count(*) from (select 1 from ${outbox} where stream = any($1::text[]) limit 100000) as counted)::int as events,
        coalesce((select extract(epoch from clock_timestamp() - created_at) from ${outbox} where stream = any($1::text[]) order by seq limit 1), 0)::float8 as age_seconds`,
    heartbeat: `insert into ${outbox} (stream, event_type) values ($1, 'heartbeat')`,
    partitions: `
      select relname as name, relname < 'outbox_published_' || to_char((now() - interval '25 hours') at time zone 'UTC', 'YYYYMMDDHH24') as expired
      from pg_inherits join pg_class on pg_class.oid = inhrelid where inhparent = '${published.replaceAll("'", "''")}'::regclass and relname ~ '^outbox_published_[0-9]{10}$'`,
    dropPartition: (name: string) => `drop table if exists ${table(name)}`,
    createPartition: (name: string, from: string, to: string) => `create table if not exists ${table(name)} partition of ${published} for values from ('${from}') to ('${to}')`,
    deleteOldDefault: `delete from ${table('outbox_published_default')} where published_at < now() - interval '24 hours'`,
    /** The last one of each stream stays: it is the fence. */
    deleteOldBatches: `delete from ${batches} as old where published_at < now() - interval '24 hours' and exists (select 1 from ${batches} as newer where newer.stream = old.stream and newer.id > old.id)`,
  };
}

/** One row of `claim` or `publishedRows`, in `rowMode: 'array'`. */
export type EventRow = readonly [batchId: string, stream: string, eventId: string, type: string, key: string, version: string, data: string, traceparent: string, timestamp: string, seq: string];

/** For topics whose partitions have changed. */
const layoutStatements = (batches: string, state: string) => ({
  /** $1 topic, $2 what its partitions' names begin with */
  knownStreams: `select stream from ${state} where stream = $1 or starts_with(stream, $2)`,
  /** $1 name, $2 layout id */
  rememberLayout: `insert into ${state} (stream, epoch) values ($1, $2) on conflict (stream) do update set epoch = excluded.epoch`,
  /** $1 streams that are gone, $2 current streams, $3 from batch: the batches count as lost in the current ones, which replay their share. */
  adoptBatches: `
    insert into ${batches} (stream, id, first_seq, last_seq, last_ms, last_number, entries)
    select target, old.id, old.first_seq, old.last_seq, 9007199254740991, 0, old.entries
    from (select distinct on (id) * from ${batches} where stream = any($1::text[]) and id >= $3 order by id) as old, unnest($2::text[]) as target
    on conflict (stream, id) do update set last_ms = excluded.last_ms, last_number = 0`,
  /** $1 streams */
  forgetBatches: `delete from ${batches} where stream = any($1::text[])`,
  /** $1 streams */
  forgetStates: `delete from ${state} where stream = any($1::text[])`,
});
