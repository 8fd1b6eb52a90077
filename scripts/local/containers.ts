// Servers for the contract suites that a bare machine does not have, where a Docker daemon answers.
import { spawnSync } from 'node:child_process';

export interface TestContainers {
  /** TEST_… addresses of what was started; empty without Docker. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

interface Wanted {
  readonly variable: string;
  readonly image: string;
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  /** Path that answers 200 when the server is ready; a server that does not speak HTTP is ready when its port is open. */
  readonly healthPath?: string;
}

const wanted: readonly Wanted[] = [
  { variable: 'TEST_ELASTICSEARCH_URL', image: 'elasticsearch:9.5.3', port: 9200, healthPath: '/_cluster/health', env: { 'discovery.type': 'single-node', 'xpack.security.enabled': 'false', ES_JAVA_OPTS: '-Xms512m -Xmx512m' } },
  { variable: 'TEST_QDRANT_URL', image: 'qdrant/qdrant:v1.19.0', port: 6333, healthPath: '/readyz', env: {} },
  { variable: 'TEST_REDIS_8_URL', image: 'redis:8.2.3', port: 6379, env: {} },
  { variable: 'TEST_REDIS_STACK_URL', image: 'redis/redis-stack-server:7.4.0-v1', port: 6379, env: {} },
];

const NONE: TestContainers = { env: {}, stop: async () => undefined };

const dockerAnswers = (): boolean => spawnSync('docker', ['info'], { stdio: 'ignore', timeout: 5_000 }).status === 0;

/** Starts Elasticsearch, Qdrant, Redis 8 and Redis Stack where Docker answers and no TEST_… address is given. What cannot be started is said and left out. */
export async function startTestContainers(given: Readonly<Record<string, string | undefined>>, say: (text: string) => void): Promise<TestContainers> {
  const missing = wanted.filter(({ variable }) => !given[variable]);
  if (missing.length === 0 || !dockerAnswers()) return NONE;
  const { GenericContainer, Wait } = await import('testcontainers');
  const started = await Promise.allSettled(missing.map(async ({ variable, image, port, env, healthPath }) => {
    const ready = healthPath === undefined ? Wait.forListeningPorts() : Wait.forHttp(healthPath, port);
    const container = await new GenericContainer(image).withEnvironment({ ...env }).withExposedPorts(port).withWaitStrategy(ready).withStartupTimeout(120_000).start();
    const scheme = healthPath === undefined ? 'redis' : 'http';
    return { variable, url: `${scheme}://${container.getHost()}:${container.getMappedPort(port)}`, container };
  }));
  for (const [at, result] of started.entries()) if (result.status === 'rejected') say(`${missing[at]?.image ?? ''} did not start: ${result.reason instanceof Error ? result.reason.message : 'unknown reason'}`);
  const running = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  return {
    env: Object.fromEntries(running.map(({ variable, url }) => [variable, url])),
    stop: async () => {
      await Promise.all(running.map(({ container }) => container.stop()));
    },
  };
}
