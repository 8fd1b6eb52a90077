import type { ManagedBus } from '../managed-bus.ts';
import type { BusLogger, BusMetrics } from '../metrics.ts';
import type { Engine } from './engine.ts';

export interface OwnerDeps {
  readonly logger: BusLogger;
  readonly metrics: BusMetrics;
}

type Owner = Pick<ManagedBus, 'lag' | 'layout' | 'ends' | 'hasPassed' | 'trimAcknowledged' | 'eraseEntries' | 'eraseDeadLetters'>;

const PAGE = 500;
const STALLED_MS = 6 * 3_600_000;

/** What a topic's owner does with it. The engine's topics are named as they are: one stream, which is partition 0. */
export function createEngineOwner(engine: Engine, { logger, metrics }: OwnerDeps): Owner {
  return {
    lag: (topic, group) => engine.lag(topic, group),
    layout: async () => ({ id: engine.features.engine, current: { first: 0, count: 1 }, draining: undefined, drained: undefined, next: 0 }),
    async ends(topic) {
      const id = await engine.lastId(topic);
      return id === '0-0' ? {} : { [topic.name]: id };
    },
    async hasPassed(group, ends) {
      for (const [topic, id] of Object.entries(ends)) if (!(await engine.hasPassed(topic, group, id))) return false;
      return true;
    },
    async trimAcknowledged(topic, { keep, stalledMs = STALLED_MS }) {
      const { removed, passedOver, dropped } = await engine.trim(topic, { keep, stalledMs });
      metrics.trimmed(topic.name, removed);
      for (const group of passedOver) {
        metrics.passedOver({ topic: topic.name, group });
        logger.error({ topic: topic.name, group }, 'group stands still and is passed over: it has to bootstrap');
      }
      for (const [group, count] of Object.entries(dropped)) {
        metrics.deadLettered({ topic: topic.name, group }, 0, count);
        logger.error({ topic: topic.name, group, dropped: count }, 'dead letters are older than 30 days: they were dropped');
      }
      return removed;
    },
    eraseEntries: (options) => engine.erase(options),
    async eraseDeadLetters({ topic, isTheirs, groups }) {
      const boxes = await engine.letters.boxes(topic);
      const known = new Set(boxes.map(({ group }) => group));
      const all = [...boxes, ...groups.filter((group) => !known.has(group)).map((group) => ({ definition: topic, topic: topic.name, group, partition: 0 }))];
      let erased = 0;
      for (const box of all) {
        for (let from = '0-0', isMore = true; isMore; ) {
          const page = await engine.letters.range(box, { after: from, count: PAGE });
          for (const { id, fields } of page) if (isTheirs(toMap(fields)) && (await engine.letters.remove(box, id))) erased += 1;
          from = page.at(-1)?.id ?? from;
          isMore = page.length === PAGE;
        }
      }
      return erased;
    },
  };
}

const toMap = (flat: readonly string[]): ReadonlyMap<string, string> => new Map(flat.flatMap((name, index): [string, string][] => (index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [])));
