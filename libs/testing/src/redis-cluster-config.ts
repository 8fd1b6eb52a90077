import { randomBytes } from 'node:crypto';

export interface ClusterNode {
  readonly port: number;
  readonly busPort: number;
}

const SLOTS = 16_384;

/**
 * The `nodes.conf` of each node of a cluster that is complete when it starts: no MEET, no ADDSLOTS, no gossip to wait for. The first
 * `masters` nodes share the slots; the others are their replicas in turn. What is left is the server's own wait of 2 s before a
 * master that has just started takes writes.
 */
export function clusterConfigFiles(nodes: readonly ClusterNode[], masters: number): string[] {
  const ids = nodes.map(() => randomBytes(20).toString('hex'));
  const lineOf = (at: number, isSelf: boolean): string => {
    const { port, busPort } = nodes[at] ?? { port: 0, busPort: 0 };
    const flags = `${isSelf ? 'myself,' : ''}${at < masters ? 'master' : 'slave'}`;
    const master = at < masters ? '-' : (ids[at % masters] ?? '-');
    const slots = at < masters ? ` ${Math.ceil((at * SLOTS) / masters)}-${Math.ceil(((at + 1) * SLOTS) / masters) - 1}` : '';
    return `${ids[at]} 127.0.0.1:${port}@${busPort} ${flags} ${master} 0 0 ${at < masters ? at + 1 : (at % masters) + 1} connected${slots}`;
  };
  return nodes.map((_node, self) => `${nodes.map((_other, at) => lineOf(at, at === self)).join('\n')}\nvars currentEpoch ${masters} lastVoteEpoch 0\n`);
}

/** Lines of a node's configuration, besides port and directory. */
export const clusterSettings = (busPort: number, nodeTimeoutMs: number): readonly (readonly [name: string, value: string])[] => [
  ['cluster-enabled', 'yes'],
  ['cluster-config-file', 'nodes.conf'],
  ['cluster-port', String(busPort)],
  ['cluster-node-timeout', String(nodeTimeoutMs)],
  ['repl-diskless-sync-delay', '0'],
];
