// A Redis Cluster for tests: three masters, no replicas, nothing on disk but their list of nodes.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterConfigFiles, clusterSettings } from '@millrace/testing/redis-cluster-config';
import { askRedis } from './ask-redis.ts';
import { freePorts } from '@millrace/testing/free-ports';
import type { RedisBinary } from './redis-binary.ts';
import { startServer } from './server.ts';
import type { LocalServer } from './server.ts';

export interface LocalCluster {
  /** `redis-cluster://…` with every node. */
  readonly url: string;
  stop(graceMs?: number): Promise<void>;
}

const MASTERS = 3;
/** Long: there is nobody to take over, and a busy machine must not make a node look dead. */
const NODE_TIMEOUT_MS = 30_000;

/** Does it know who has every slot, and take writes? */
const isComplete = (port: number): Promise<boolean> =>
  askRedis(port, ['CLUSTER INFO'], (text) => {
    const state = /cluster_state:(\w+)/.exec(text)?.[1];
    return state !== undefined || text.startsWith('-') ? state === 'ok' : undefined;
  });

/** Starts the nodes side by side; all of them, or none. About 2 s, nearly all of it the servers' own wait. */
export async function startRedisCluster(stateDir: string, binary: RedisBinary): Promise<LocalCluster> {
  const ports = await freePorts(2 * MASTERS);
  const nodes = Array.from({ length: MASTERS }, (_value, at) => ({ port: ports[at] ?? 0, busPort: ports[MASTERS + at] ?? 0 }));
  const configs = clusterConfigFiles(nodes, MASTERS);
  mkdirSync(join(stateDir, 'logs'), { recursive: true, mode: 0o700 });
  const started = await Promise.allSettled(
    nodes.map(({ port, busPort }, at): Promise<LocalServer> => {
      const name = `redis-cluster-${at}`;
      const dir = join(stateDir, name);
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeFileSync(join(dir, 'nodes.conf'), configs[at] ?? '');
      const settings = [['bind', '127.0.0.1'], ['port', String(port)], ['dir', dir], ['save', ''], ...clusterSettings(busPort, NODE_TIMEOUT_MS)];
      return startServer({
        stateDir,
        name: `server-${name}`,
        url: `redis://127.0.0.1:${port}`,
        command: binary.path,
        args: settings.flatMap(([key, value = '']) => [`--${key}`, value]),
        env: binary.env,
        stopBy: 'SIGTERM',
        logFile: join(stateDir, 'logs', `${name}.log`),
        isReady: () => isComplete(port),
      });
    }),
  );
  const running = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const stop = async (graceMs?: number): Promise<void> => void (await Promise.all(running.map((server) => server.stop(graceMs))));
  const failed = started.find((one) => one.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  const [first, ...others] = nodes.map(({ port }) => `127.0.0.1:${port}`);
  return { url: `redis-cluster://${first}?${others.map((node) => `node=${node}`).join('&')}`, stop };
}
