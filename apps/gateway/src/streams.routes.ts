import type { DeadLetterChoice, DeadLetterDetail, DeadLetterFilter, DeadLetterState, GroupState, TopicState } from '@millrace/bus';
import { discardDeadLetters, dropGroup, editDeadLetter, getDeadLetter, listDeadLetters, listStreams, repartitionTopic, replayDeadLetters } from '@millrace/contracts';
import type { ChangedDeadLettersBody, DeadLetterBody, DeadLetterChoiceBody, DeadLetterDetailBody, DeadLetterFilterBody, Operation, TopicStateBody } from '@millrace/contracts';
import { ok } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { BusAccess, BusCall } from './bus-access.ts';
import { localRoute } from './local-route.ts';
import type { LocalRoutes } from './local-route.ts';

const toGroup = ({ oldestAgeMs, deadLetters, holder, consumers, ...same }: GroupState): TopicStateBody['streams'][number]['groups'][number] => ({
  ...same, oldest_age_ms: oldestAgeMs, dead_letters: deadLetters, holder: holder ?? null,
  consumers: consumers.map(({ consumer, pending, idleMs }) => ({ consumer, pending, idle_ms: idleMs })),
});

const toTopic = ({ topic, partitions, streams }: TopicState): TopicStateBody => ({
  topic, partitions,
  streams: streams.map(({ stream, partition, isDraining, length, bytes, firstId, lastId, groups }) => ({
    stream, partition, is_draining: isDraining, length, bytes, first_id: firstId ?? null, last_id: lastId ?? null, groups: groups.map(toGroup),
  })),
});

/** As the API shows it. */
export const toLetter = ({ id, topic, partition, group, reason, sourceId, consumer, attempts, firstSeen, lastSeen, eventType, eventId, key }: DeadLetterState): DeadLetterBody => ({
  id, topic, partition, group, reason, source_id: sourceId, consumer, attempts, first_seen: firstSeen, last_seen: lastSeen,
  event_type: eventType ?? null, event_id: eventId ?? null, key: key ?? null,
});
const toDetail = (letter: DeadLetterDetail): DeadLetterDetailBody => ({ ...toLetter(letter), fields: { ...letter.fields } });

const toFilter = ({ topic, group, reason, key, since, until }: DeadLetterFilterBody): DeadLetterFilter => ({
  ...(topic !== undefined && { topic }),
  ...(group !== undefined && { group }),
  ...(reason !== undefined && { reason }),
  ...(key !== undefined && { key }),
  ...(since !== undefined && { since }),
  ...(until !== undefined && { until }),
});

/** The schema has made sure that one of both is there. */
const toChoice = ({ ids, filter }: DeadLetterChoiceBody): DeadLetterChoice => (filter === undefined ? { ids: ids ?? [] } : { filter: toFilter(filter) });

const DEFAULT_TIMEOUT_MS = 10_000;
const callOf = ({ timeoutMs = DEFAULT_TIMEOUT_MS }: Operation, place?: BusCall['place']): BusCall => ({ timeoutMs, ...(place && { place }) });
const inPath = (name: string): BusCall['place'] => ({ in: 'path', pointer: `/${name}` });

/** Services that are configured with another number refuse to work with the topic. */
function checkConfigured(topic: string, partitions: number, configured: Readonly<Record<string, number>>): void {
  const wanted = configured[topic];
  if (wanted !== undefined && wanted !== partitions)
    throw new AppError('conflict', `BUS_PARTITIONS gives ${topic} ${wanted} partitions, and services that are set so refuse any other number: change it for all of them first, the gateway too`);
}

/** Operations of streams, groups and partitions. `configured`: partitions of topics by BUS_PARTITIONS. */
export function streamRoutes(bus: BusAccess, configured: Readonly<Record<string, number>> = {}): LocalRoutes {
  return {
    ...localRoute(listStreams, async () => ok({ topics: (await bus(callOf(listStreams), (admin) => admin.topics())).map(toTopic) })),
    ...localRoute(dropGroup, async ({ params, query: { topic, force, dry_run: dryRun } }) => {
      const dropped = await bus(callOf(dropGroup, inPath('group')), (admin) => admin.dropGroup(params.group, { force, dryRun, ...(topic !== undefined && { topic }) }));
      return ok({ dropped });
    }),
    ...localRoute(repartitionTopic, async ({ params: { topic }, body: { partitions } }) => {
      checkConfigured(topic, partitions, configured);
      return ok(toTopic(await bus(callOf(repartitionTopic, inPath('topic')), (admin) => admin.repartition(topic, partitions))));
    }),
  };
}

/** Operations of dead letters. What a topic declares personal is masked by the bus itself. */
export function deadLetterRoutes(bus: BusAccess): LocalRoutes {
  return {
    ...localRoute(listDeadLetters, async ({ query: { limit, cursor, ...filter } }) => {
      const page = { limit, ...(cursor !== undefined && { cursor }) };
      const { items, nextCursor } = await bus(callOf(listDeadLetters, { in: 'query', pointer: '/cursor' }), (admin) => admin.listDeadLetters(toFilter(filter), page));
      return ok({ data: items.map(toLetter), page: { next: nextCursor ?? null, limit } });
    }),
    ...localRoute(getDeadLetter, async ({ params: { id } }) => ok(toDetail(await bus(callOf(getDeadLetter, inPath('id')), (admin) => admin.getDeadLetter(id))))),
    ...localRoute(editDeadLetter, async ({ params: { id }, body }) => ok(toDetail(await bus(callOf(editDeadLetter, inPath('id')), (admin) => admin.editDeadLetter(id, body.data))))),
    ...localRoute(replayDeadLetters, async ({ body }) => {
      const dryRun = body.dry_run;
      const { count, missing } = await bus(callOf(replayDeadLetters), (admin) => admin.replayDeadLetters(toChoice(body), { dryRun }));
      return ok({ count, missing: [...missing], dry_run: dryRun } satisfies ChangedDeadLettersBody);
    }),
    ...localRoute(discardDeadLetters, async ({ body }) => {
      const dryRun = body.dry_run;
      const { count, missing } = await bus(callOf(discardDeadLetters), (admin) => admin.discardDeadLetters(toChoice(body), { dryRun }));
      return ok({ count, missing: [...missing], dry_run: dryRun } satisfies ChangedDeadLettersBody);
    }),
  };
}
