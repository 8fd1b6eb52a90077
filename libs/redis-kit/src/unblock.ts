import { Command } from 'ioredis';
import { closeRedis } from './lifecycle.ts';
import { isCluster, masterNodes } from './redis.ts';
import type { Redis, SingleRedis } from './redis.ts';

/** Ends the blocking command of one connection by another, as if its time were up. Dropping the connection instead would strand what it was just given. */
export interface Unblocker {
  /**
   * Call it before each blocking command, of which there is one at a time. It asks the server only where the connection was there
   * before the unblocker. With a key of the command only the cluster's node that has it may keep it waiting.
   */
  prepare(key?: string): Promise<void>;
  /**
   * CLIENT UNBLOCK; call it again until the command has ended, for it may not have arrived yet. A command that no server has is rejected by
   * closing the connection: at once where that is not connected; on a cluster, whose client sends it again and again while a node is
   * away, when all servers have said for two seconds that nothing waits. Never throws.
   */
  unblock(): void;
  /** Only CLIENT UNBLOCK, where the connection is there: for a loop that goes on afterwards. Never throws. */
  wake(): void;
}

/** Time for an answer to arrive before the command counts as being with no server. */
const LOST_AFTER_MS = 2_000;

/**
 * Ids of a connection's sockets: asked for in each handshake, so before any command can block, and without a connection of its own.
 * Of a cluster's client those of every node that it talks to, also of one that it is led to while the command is on its way.
 */
function trackIds(blocking: Redis): { readonly of: ReadonlyMap<SingleRedis, number>; ask(node: SingleRedis): Promise<void> } {
  const ids = new Map<SingleRedis, number>();
  const ask = async (node: SingleRedis): Promise<void> => {
    const id = await node.client('ID');
    if (node.status !== 'close' && node.status !== 'end') ids.set(node, id);
  };
  const watch = (node: SingleRedis): void => {
    node.on('connect', () => void ask(node).catch(() => undefined));
    node.on('close', () => ids.delete(node));
  };
  for (const node of isCluster(blocking) ? blocking.nodes() : [blocking]) watch(node);
  if (isCluster(blocking)) blocking.on('+node', watch);
  return { of: ids, ask };
}

const addressOf = ({ options }: SingleRedis): string => `${options.host}:${options.port}`;

/** The masters, or only the one that has the key. */
function nodesFor(blocking: Redis, key: string | undefined): readonly SingleRedis[] {
  const masters = masterNodes(blocking);
  if (!isCluster(blocking) || key === undefined) return masters;
  const owner = blocking.slots[new Command('exists', [key]).getSlot()]?.[0];
  return masters.filter((node) => addressOf(node) === owner);
}

/** The control connection to the same server; a cluster's client that does not know it is told to look. */
function controlOf(control: Redis, node: SingleRedis): SingleRedis | undefined {
  if (!isCluster(control)) return control;
  const found = control.nodes().find((one) => addressOf(one) === addressOf(node));
  if (!found && control.status === 'ready') control.refreshSlotsCache();
  return found;
}

/** For a client that runs one blocking command at a time; make it right after the client. `control` is another connection to the same server or cluster. */
export function createUnblocker(blocking: Redis, control: Redis): Unblocker {
  const ids = trackIds(blocking);
  const asked = new Set<SingleRedis>();
  /** Since when every answer was "nothing waits". */
  let idleSinceMs: number | undefined;

  const unblockOn = async (node: SingleRedis, id: number): Promise<boolean> => {
    if (asked.has(node)) return true; // not answered yet: another one would only wait behind it
    asked.add(node);
    try {
      return (await controlOf(control, node)?.client('UNBLOCK', id)) === 1;
    } catch {
      return true; // unknown
    } finally {
      asked.delete(node);
    }
  };
  const unblockAll = async (): Promise<void> => {
    const hits = await Promise.all([...ids.of].map(([node, id]) => unblockOn(node, id)));
    idleSinceMs = hits.includes(true) ? undefined : (idleSinceMs ?? Date.now());
  };

  return {
    async prepare(key) {
      idleSinceMs = undefined;
      await Promise.all(nodesFor(blocking, key).filter((node) => node.status === 'ready' && !ids.of.has(node)).map((node) => ids.ask(node)));
    },
    unblock() {
      const isLost = isCluster(blocking) && idleSinceMs !== undefined && Date.now() - idleSinceMs > LOST_AFTER_MS;
      // Nothing can have been delivered over a connection that is not there: the waiting command is rejected.
      if (blocking.status !== 'ready' || isLost) void closeRedis(blocking);
      else void unblockAll();
    },
    wake() {
      if (blocking.status === 'ready') void unblockAll();
    },
  };
}
