import type { SubscriberKeys } from '@millrace/redis-kit';
import { LoadRefusedError } from '../errors.ts';
import { fromBytes, onBytes } from './byte-text.ts';
import type { EncodedSubscriber } from './encode-subscriber.ts';

const MEMBERS = 500;
/** Different services, risks and clusters; each has an index and a count. */
const MAX_LABELS = 10_000;

interface Batch {
  readonly command: 'ZADD' | 'SADD';
  readonly key: string;
  /** Members of all batches of this index. */
  count: number;
  waiting: string[];
}

export interface IndexBatches {
  add(subscriber: EncodedSubscriber): void;
  /** Commands that are due, or all that is left. */
  take(all: boolean): string[][];
  /** Members by index: `service:DATA_ADVANCE`, `risk:LOW`, `cluster:3`. */
  counts(): Record<string, number>;
}

/** Members of the indexes are gathered, so that an index gets them by the hundred. All texts are of bytes, but those of the counts. */
export function createIndexBatches(names: SubscriberKeys): IndexBatches {
  const indexes = [
    { kind: 'service', command: 'ZADD', keyOf: onBytes((value) => names.service(value)), batches: new Map<string, Batch>() },
    { kind: 'risk', command: 'SADD', keyOf: onBytes((value) => names.risk(value)), batches: new Map<string, Batch>() },
    { kind: 'cluster', command: 'SADD', keyOf: onBytes((value) => names.cluster(value)), batches: new Map<string, Batch>() },
  ] as const;
  const [services, risks, clusters] = indexes;
  const batchOf = ({ command, keyOf, batches }: (typeof indexes)[number], value: string): Batch => {
    const known = batches.get(value);
    if (known !== undefined) return known;
    if (services.batches.size + risks.batches.size + clusters.batches.size >= MAX_LABELS) throw new LoadRefusedError(`service_type and cluster_group have more than ${MAX_LABELS} different values: are they the right columns (--mapping)?`);
    const batch = { command, key: keyOf(value), count: 0, waiting: [] };
    batches.set(value, batch);
    return batch;
  };
  const put = (index: (typeof indexes)[number], value: string | undefined, isdn: string, score?: string): void => {
    if (value === undefined) return;
    const batch = batchOf(index, value);
    batch.count += 1;
    if (score !== undefined) batch.waiting.push(score);
    batch.waiting.push(isdn);
  };
  return {
    add({ isdn, serviceType, risk, clusterGroup, priority = '0' }) {
      put(services, serviceType, isdn, priority);
      put(risks, risk, isdn);
      put(clusters, clusterGroup, isdn);
    },
    take(all) {
      const due = indexes.flatMap(({ batches }) => [...batches.values()]).filter(({ waiting }) => waiting.length > 0 && (all || waiting.length >= MEMBERS));
      return due.map((batch) => {
        const command = [batch.command, batch.key, ...batch.waiting];
        batch.waiting = [];
        return command;
      });
    },
    counts: () => Object.fromEntries(indexes.flatMap(({ kind, batches }) => [...batches].map(([value, { count }]) => [`${kind}:${fromBytes(value)}`, count]))),
  };
}
