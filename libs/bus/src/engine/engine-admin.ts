import { BusAdminError } from '../admin/bus-admin.ts';
import type { BusAdmin, DroppedGroup } from '../admin/bus-admin.ts';
import { createDeadLetters } from '../admin/dead-letters.ts';
import type { Topic } from '../topic.ts';
import type { Engine } from './engine.ts';

/** A consumer that was seen in this time counts as running. */
const SEEN_MS = 60_000;

/** The tools over an engine whose topics have one partition each. */
export function createEngineAdmin(engine: Engine, topics: readonly Topic[]): BusAdmin {
  const topicOf = (name: string): Topic => {
    const found = topics.find((topic) => topic.name === name);
    if (!found) throw new BusAdminError('not_found', `there is no topic ${name}: the topics are ${topics.map((topic) => topic.name).join(', ')}`);
    return found;
  };
  const read = async (topic: Topic) => ({ topic: topic.name, partitions: 1, streams: [{ ...(await engine.describe(topic)), partition: 0, isDraining: false }] });
  return {
    ...createDeadLetters({ store: engine.letters, topics, topicOf }),
    topics: () => Promise.all(topics.map(read)),
    async dropGroup(group, { topic, force = false, dryRun = false } = {}) {
      const wanted = topic === undefined ? topics : [topicOf(topic)];
      const states = await Promise.all(wanted.map(async (one) => ({ one, state: (await engine.describe(one)).groups.find((found) => found.group === group) })));
      const found = states.flatMap(({ one, state }) => (state ? [{ one, state }] : []));
      if (found.length === 0) throw new BusAdminError('not_found', `there is no group ${group}${topic === undefined ? '' : ` on ${topic}`}`);
      const parked = found.reduce((sum, { state }) => sum + state.deadLetters, 0);
      if (parked > 0 && !force) throw new BusAdminError('conflict', `the group ${group} has ${parked} dead letters: replay or discard them first, or drop it with force`);
      const used = found.flatMap(({ state }) => state.consumers).find(({ idleMs }) => idleMs < SEEN_MS);
      if (used && !force) throw new BusAdminError('conflict', `the group ${group} is in use: its consumer ${used.consumer} was seen ${Math.round(used.idleMs / 1_000)} s ago; stop it first, or drop the group with force`);
      for (const { one } of dryRun ? [] : found) await engine.dropGroup(one, group);
      return found.map(({ one, state }): DroppedGroup => ({ topic: one.name, group, pending: state.pending, unread: state.unread }));
    },
    async traceKey(name, key, limit) {
      const topic = topicOf(name);
      if (topic.options.isPersonal === true) throw new BusAdminError('invalid', `the keys of ${name} are personal and cannot be traced`);
      return [await engine.trace(topic, key, limit)];
    },
    async repartition(name, partitions) {
      const topic = topicOf(name);
      if (partitions !== 1) throw new BusAdminError('invalid', `a topic on ${engine.broker} has one partition: more of them are a matter of the Redis bus`, '/partitions');
      return read(topic);
    },
  };
}
