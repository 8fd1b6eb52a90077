import { asList, asTexts, infoOfMasters } from '@millrace/redis-kit';
import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import type { BusLogger, BusMetrics, GroupLabels } from '../metrics.ts';
import type { Topic } from '../topic.ts';
import { everyPartition, finishDraining, groupNames, keysOf, peekLayout } from './layout.ts';
import { DEAD_LETTERS_MS } from './redis-group-log.ts';
import { trimStream } from './scripts/trim.ts';

export interface TrimOptions {
  /** Acknowledged entries that may stay, for whoever comes late. */
  readonly keep: number;
  /** Share of Redis' maxmemory from which on none of them stay. Without a maxmemory there is no such bound. Default 0.7. */
  readonly keepBelow?: number;
  /** A group that can bootstrap and has acknowledged nothing for so long, although it is behind, is passed over. Default 6 h. */
  readonly stalledMs?: number;
  /** The same from `keepBelow` on. Default a minute. There, a group that is more than `keep` entries behind is passed over at once. */
  readonly stalledUnderPressureMs?: number;
}

export interface TrimDeps {
  readonly control: Redis;
  readonly keys: Keys;
  readonly logger: BusLogger;
  readonly metrics: BusMetrics;
}

/** See `RedisStreamsBus.trimAcknowledged`. */
export async function trimTopic(deps: TrimDeps, topic: Topic, options: TrimOptions): Promise<number> {
  const { control, keys } = deps;
  await finishDraining(control, keys, topic.name);
  const layout = await peekLayout(control, keys, topic.name);
  const { current, draining } = layout;
  const groups = new Set<string>();
  let total = 0;
  for (const of of [...(draining ? keysOf(keys, topic.name, draining) : []), ...keysOf(keys, topic.name, current)]) {
    total += await trimPartition(deps, topic, of, options);
    for (const group of await groupNames(control, of.stream)) groups.add(group);
  }
  const oldest = Date.now() - DEAD_LETTERS_MS;
  for (const { of } of everyPartition(keys, topic.name, layout)) for (const group of groups) reportDropped(deps, { topic: topic.name, group }, await control.xtrim(of.deadLetters(group), 'MINID', '~', oldest));
  deps.metrics.trimmed(topic.name, total);
  return total;
}

function reportDropped({ logger, metrics }: TrimDeps, labels: GroupLabels, dropped: number): void {
  if (dropped === 0) return;
  metrics.deadLettered(labels, 0, dropped);
  logger.error({ ...labels, dropped }, 'dead letters are older than 30 days: they were dropped');
}

async function trimPartition(deps: TrimDeps, topic: Topic, of: TopicKeys, options: TrimOptions): Promise<number> {
  const { keep, keepBelow = 0.7, stalledMs = 6 * 3_600_000, stalledUnderPressureMs = 60_000 } = options;
  const isTight = async (): Promise<boolean> => (await memoryShare(deps.control)) >= keepBelow;
  if (!(await isTight())) return trimUntilDone(deps, topic, of, { keep, stalledMs, backlog: -1 });
  // What is acknowledged goes first; groups are passed over only where that is not enough.
  const removed = await trimUntilDone(deps, topic, of, { keep: 0, stalledMs, backlog: -1 });
  if (!(await isTight())) return removed;
  return removed + (await trimUntilDone(deps, topic, of, { keep: 0, stalledMs: stalledUnderPressureMs, backlog: keep }));
}

interface Limits {
  readonly keep: number;
  readonly stalledMs: number;
  readonly backlog: number;
}

async function trimUntilDone({ control, logger, metrics }: TrimDeps, topic: Topic, of: TopicKeys, { keep, stalledMs, backlog }: Limits): Promise<number> {
  const groups = await groupNames(control, of.stream);
  const own = [of.stream, of.progress, ...groups.flatMap((group) => [of.bootstrapped(group), of.bootstrapping(group)])];
  for (let total = 0; ; ) {
    const [removed, passed] = asList(await trimStream(control, own, [keep, Date.now(), stalledMs, backlog, ...groups]));
    for (const group of asTexts(passed)) {
      metrics.passedOver({ topic: topic.name, group });
      logger.error({ topic: topic.name, stream: of.stream, group }, 'group stands still and is passed over: it has to bootstrap');
    }
    if (Number(removed) === 0) return total;
    total += Number(removed);
  }
}

/** Used memory of maxmemory, of the fullest master; 0 where there is no bound. */
async function memoryShare(redis: Redis): Promise<number> {
  const masters = await infoOfMasters(redis, ['used_memory', 'maxmemory']);
  return Math.max(0, ...masters.map(([used, bound]) => (Number(bound ?? 0) > 0 ? Number(used ?? 0) / Number(bound) : 0)));
}
