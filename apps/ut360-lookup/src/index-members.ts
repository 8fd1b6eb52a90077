import { sendByNode } from '@millrace/redis-kit';
import type { Keys, Redis, SubscriberKeys } from '@millrace/redis-kit';
import { AppError, within } from '@millrace/service';
import { qualified } from '@millrace/subscribers';
import type { Counts, Pointer } from '@millrace/subscribers';
import type { Reads } from './reads.ts';

/** Which subscribers: those of a service (by priority), of a level of risk, of a cluster. */
export interface IndexName {
  readonly kind: 'service' | 'risk' | 'cluster';
  readonly value: string;
}

/** `scan`: the cursor of SSCAN; `after`: where Postgres keeps the last row of the page before (block,row of `ctid`), because callers see cursors and must not see ISDNs, nor ask for what is behind one. */
export type Position = { readonly scan: string } | { readonly after: string };

export interface Members {
  readonly isdns: readonly string[];
  readonly total: number;
  /** Undefined: that was all. */
  readonly next: Position | undefined;
  /** The pointer's text as Redis had it at the same time (null: none); undefined where Redis was not asked, or did not answer. */
  readonly seen?: string | null | undefined;
}

export interface IndexMembers {
  /** The highest priority first. */
  top(pointer: Pointer, name: IndexName, limit: number): Promise<Members>;
  /** A page in no order. */
  page(pointer: Pointer, name: IndexName, options: { readonly limit: number; readonly from: Position | undefined }): Promise<Members>;
}

export interface IndexMembersDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly reads: Reads;
  /** An index is absent or short. */
  readonly onBroken: (name: IndexName, pointer: Pointer) => void;
}

/** They are asked for once a version; a Postgres that hangs must not keep back what Redis has. */
const COUNTS_MS = 500;
const COLUMNS: Readonly<Record<IndexName['kind'], string>> = { service: 'service_type', risk: 'bad_debt_risk', cluster: 'cluster_group' };

/** Counts of a generation: they change only with the pointer's version, when somebody is erased. */
function createCounts(reads: Reads): (pointer: Pointer) => Promise<Counts> {
  let known: { readonly version: number; readonly counts: Promise<Counts> } | undefined;
  return (pointer) => {
    const { redis, version } = pointer;
    if (known?.version === version) return known.counts;
    const counts = reads.at(pointer, (db) => db.query<{ stats: Counts }>('select stats from ut360.generation_sets where redis = $1', [redis])).then(({ rows }) => rows[0]?.stats ?? {});
    known = { version, counts };
    counts.catch(() => { known = undefined; });
    return counts;
  };
}

export const indexKey = (names: SubscriberKeys, { kind, value }: IndexName): string => (kind === 'service' ? names.service(value) : kind === 'risk' ? names.risk(value) : names.cluster(value));

const texts = (reply: unknown): string[] => (Array.isArray(reply) ? reply.filter((one): one is string => typeof one === 'string') : []);

interface Row {
  readonly isdn: string;
  readonly place: string;
}

/** Rows of a generation never move: nothing is written to it but that erasures delete. */
async function fromPostgres(reads: Reads, pointer: Pointer, { kind, value }: IndexName, { limit, after }: { readonly limit: number; readonly after: string | undefined }): Promise<readonly Row[]> {
  const table = qualified('recommendations', pointer.recommendations);
  const asked = reads.at(pointer, (db) => (kind === 'service'
    ? db.query<Row>(`select isdn, ctid::text as place from ${table} where service_type = $1 order by priority_score desc nulls last, isdn desc limit $2`, [value, limit])
    : db.query<Row>(`select isdn, ctid::text as place from ${table} where ${COLUMNS[kind]} = $1 and ctid > $2::tid order by ctid limit $3`, [value, `(${after ?? '0,0'})`, limit])));
  const { rows } = await asked.catch((error: unknown) => {
    throw new AppError('unavailable', 'subscribers cannot be listed now: neither Redis nor Postgres has answered', { cause: error, headers: { 'Retry-After': '2' } });
  });
  return rows;
}

/** Members of the indexes of a generation: of Redis where it has all of them, else of Postgres. */
export function createIndexMembers({ redis, keys, reads, onBroken }: IndexMembersDeps): IndexMembers {
  const countsOf = createCounts(reads);
  /** Undefined where nobody can say (Postgres is away): then whatever Redis has is right. */
  const expected = async (pointer: Pointer, { kind, value }: IndexName): Promise<number | undefined> => (await within(COUNTS_MS, countsOf(pointer), () => new Error('postgres hangs')).catch(() => undefined))?.[`${kind}:${value}`];

  /** What Redis says where the index has as many members as it should have. */
  const ask = async (pointer: Pointer, name: IndexName, [command, ...args]: readonly [string, ...string[]]): Promise<{ readonly reply: unknown; readonly size: number; readonly seen: string | null } | undefined> => {
    const key = indexKey(keys.subscribers(pointer.redis), name);
    const current = keys.subscriberPointer('');
    const count = name.kind === 'service' ? 'ZCARD' : 'SCARD';
    const [total, replies] = await Promise.all([expected(pointer, name), sendByNode(redis, [{ key: current, name: 'GET', args: [current] }, { key, name: command, args: [key, ...args] }, { key, name: count, args: [key] }]).catch(() => undefined)]);
    if (replies === undefined) return undefined;
    const [seen, reply, members] = replies;
    const size = Number(members ?? 0);
    if (total !== undefined && size !== total) {
      onBroken(name, pointer);
      return undefined;
    }
    return { reply, size, seen: typeof seen === 'string' ? seen : null };
  };

  return {
    async top(pointer, name, limit) {
      const found = await ask(pointer, name, ['ZREVRANGE', '0', String(limit - 1)]);
      if (found !== undefined) return { isdns: texts(found.reply), total: found.size, next: undefined, seen: found.seen };
      return { isdns: (await fromPostgres(reads, pointer, name, { limit, after: undefined })).map(({ isdn }) => isdn), total: (await expected(pointer, name)) ?? 0, next: undefined };
    },
    async page(pointer, name, { limit, from }) {
      const found = from !== undefined && 'after' in from ? undefined : await ask(pointer, name, ['SSCAN', from?.scan ?? '0', 'COUNT', String(limit)]);
      if (found !== undefined) {
        const [cursor, members]: readonly unknown[] = Array.isArray(found.reply) ? found.reply : [];
        return { isdns: texts(members), total: found.size, next: typeof cursor !== 'string' || cursor === '0' ? undefined : { scan: cursor }, seen: found.seen };
      }
      // A cursor of Redis is of no use here: the caller begins again.
      const after = from !== undefined && 'after' in from ? from.after : undefined;
      const rows = await fromPostgres(reads, pointer, name, { limit, after });
      const last = rows.at(-1);
      return { isdns: rows.map(({ isdn }) => isdn), total: (await expected(pointer, name)) ?? 0, next: rows.length < limit || last === undefined ? undefined : { after: last.place.slice(1, -1) } };
    },
  };
}
