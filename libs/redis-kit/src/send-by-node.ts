// oxlint-disable-next-line typescript/triple-slash-reference -- whoever uses this package has to see the types, too
/// <reference path="./cluster-key-slot.d.ts" />
import calculateSlot from 'cluster-key-slot';
import { isCluster } from './redis.ts';
import type { Redis } from './redis.ts';

/** A command about one key, or about several of one hash tag. */
export interface KeyedCommand {
  /** Decides the node. */
  readonly key: string;
  readonly name: string;
  /** Everything behind the name, the keys too. */
  readonly args: readonly (string | number | Buffer)[];
}

/** Whoever has the slot of the key now. */
export const nodeOf = (redis: Redis, key: string): string => (isCluster(redis) ? (redis.slots[calculateSlot(key)]?.join(';') ?? '') : '');

/**
 * Sends commands in one pipeline a node, all nodes at the same time, and returns the replies in the order of the commands. The commands of a
 * node are done in their order, among those of others. Rejects with the first command that failed; others may have been done.
 */
export async function sendByNode(redis: Redis, commands: readonly KeyedCommand[]): Promise<unknown[]> {
  const replies: unknown[] = Array.from({ length: commands.length });
  const byNode = Map.groupBy(commands.keys(), (at) => nodeOf(redis, commands[at]?.key ?? ''));
  await Promise.all(
    [...byNode.values()].map(async (places) => {
      const pipeline = redis.pipeline();
      for (const at of places) {
        const command = commands[at];
        if (command !== undefined) pipeline.call(command.name, [...command.args]);
      }
      const results = (await pipeline.exec()) ?? [];
      for (const [index, [error, reply]] of results.entries()) {
        if (error) throw error;
        replies[places[index] ?? 0] = reply;
      }
    }),
  );
  return replies;
}

/** Keys of a pattern, of every master, in pages. A key may come twice; one that is made or removed meanwhile may come or not. */
export async function* scanKeys(nodes: readonly { scan(cursor: string, match: 'MATCH', pattern: string, count: 'COUNT', number: number): Promise<[string, string[]]> }[], pattern: string, count = 2_000): AsyncGenerator<string[]> {
  for (const node of nodes) {
    let cursor = '0';
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', count);
      cursor = next;
      if (keys.length > 0) yield keys;
    } while (cursor !== '0');
  }
}
