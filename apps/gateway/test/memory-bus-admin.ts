import { BusAdminError } from '@millrace/bus';
import type { BusAdmin, DeadLetterChoice, DeadLetterDetail, DeadLetterFilter, TopicState } from '@millrace/bus';

export interface MemoryBusAdmin extends BusAdmin {
  /** What was given to the tools, in their order. */
  readonly calls: unknown[][];
  readonly letters: Map<string, DeadLetterDetail>;
}

export const letter = (n: number, over: Partial<DeadLetterDetail> = {}): DeadLetterDetail => ({
  id: `product:updates~bare~g~${n}-0`, topic: 'product:updates', partition: 0, group: 'g', reason: 'bad price', sourceId: `${n}-0`, consumer: 'c', attempts: 5,
  firstSeen: '2026-11-02T08:00:00.000Z', lastSeen: '2026-11-02T08:00:01.000Z', eventType: 'update', eventId: `e${n}`, key: `sku-${n}`, fields: { data: '{}' }, ...over,
});

const state: TopicState = {
  topic: 'product:updates', partitions: 1,
  streams: [{
    stream: 'product:updates', partition: 0, isDraining: false, length: 3, bytes: 100, firstId: undefined, lastId: '3-0',
    groups: [{ group: 'g', pending: 1, unread: 2, delayed: 0, oldestAgeMs: 1500, deadLetters: 2, bootstrap: 'done', holder: undefined, consumers: [{ consumer: 'c', pending: 1, idleMs: 7 }] }],
  }],
};

/** One topic, one group "g" that is in use, and some letters. */
export function createMemoryBusAdmin(): MemoryBusAdmin {
  const letters = new Map<string, DeadLetterDetail>();
  const calls: unknown[][] = [];
  const find = (id: string): DeadLetterDetail => {
    const found = letters.get(id);
    if (!found) throw new BusAdminError('not_found', `there is no dead letter ${id}`);
    return found;
  };
  const fits = ({ group, key }: DeadLetterFilter) => (one: DeadLetterDetail): boolean => (group === undefined || group === one.group) && (key === undefined || key === one.key);
  const remove = async (choice: DeadLetterChoice, isDryRun = false) => {
    const ids = 'ids' in choice ? choice.ids : [...letters.values()].filter(fits(choice.filter)).map(({ id }) => id);
    const there = ids.filter((id) => letters.has(id));
    if (!isDryRun) for (const id of there) letters.delete(id);
    return { count: there.length, missing: ids.filter((id) => !there.includes(id)) };
  };
  return {
    calls, letters,
    topics: async () => [state],
    traceKey: async () => [],
    dropGroup: async (group, options = {}) => {
      calls.push(['dropGroup', group, options]);
      if (group !== 'g') throw new BusAdminError('not_found', `there is no group ${group}`);
      if (options.force !== true) throw new BusAdminError('conflict', 'the group g is in use');
      return [{ topic: 'product:updates', group, pending: 1, unread: 2 }];
    },
    repartition: async (topic, partitions) => {
      calls.push(['repartition', topic, partitions]);
      if (topic !== state.topic) throw new BusAdminError('not_found', `there is no topic ${topic}`);
      return { ...state, partitions };
    },
    listDeadLetters: async (filter, page) => {
      calls.push(['list', filter, page]);
      if (page.cursor === 'rubbish') throw new BusAdminError('invalid', 'this is no cursor');
      const found = [...letters.values()].filter(fits(filter));
      const from = page.cursor === undefined ? 0 : found.findIndex(({ id }) => id === page.cursor) + 1;
      const items = found.slice(from, from + page.limit);
      return { items, nextCursor: from + page.limit < found.length ? items.at(-1)?.id : undefined };
    },
    getDeadLetter: async (id) => find(id),
    editDeadLetter: async (id, data) => {
      const old = find(id);
      if (typeof data !== 'object') throw new BusAdminError('invalid', 'the topic would park it again', '/data');
      const edited = { ...old, id: `${id}1`, fields: { data: JSON.stringify(data) } };
      letters.delete(id);
      letters.set(edited.id, edited);
      return edited;
    },
    replayDeadLetters: async (choice, { dryRun } = {}) => {
      calls.push(['replay', choice]);
      return remove(choice, dryRun);
    },
    discardDeadLetters: async (choice, { dryRun } = {}) => {
      calls.push(['discard', choice]);
      return remove(choice, dryRun);
    },
  };
}
