import { withFallbacks } from '@millrace/service';
import { portHelp, portsFrom } from '../local/apps.ts';
import { stateDir } from '../local/paths.ts';
import { developmentKeyFileOf, startStack } from '../local/stack.ts';
import type { Stack } from '../local/stack.ts';

const USAGE = `npm start [-- --no-sample]
Starts PostgreSQL, three Redis servers and every app on this machine, loads a sample catalogue and sample subscribers at the first start, and runs
until Ctrl-C. Data stay in .local (MILLRACE_STATE_DIR moves them).

Your own servers, used where these are set:
  DATABASE_URL (owner; or POSTGRES_HOST/PORT/DB/USER/PASSWORD), REDIS_URL (or REDIS_HOST/PORT/PASSWORD/DB), CACHE_REDIS_URL, UT360_REDIS_URL,
  ELASTICSEARCH_URL (or ELASTIC_HOST), QDRANT_URL

Ports: MILLRACE_PORT_BASE=<n> moves all of them to <n> and onwards, or one by one:
${portHelp()}
MILLRACE_HOST is the address that the gateway listens on (default 127.0.0.1).`;

function tour({ gatewayUrl, apiKey, apps, sampleLoaded, subscribersLoaded, stateDir: stateDirectory }: Stack, seconds: number): string {
  const curl = `curl -s -H 'X-Api-Key: ${apiKey}'`;
  const product = `{"sku":"MY-${Date.now().toString(36)}","name":"Bamboo desk lamp","description":"Warm light, three levels.","category":"Lighting","price":24.5,"currency":"USD","stock":8}`;
  return `
Millrace is ready (${seconds.toFixed(1)} s${sampleLoaded > 0 ? `, ${sampleLoaded} sample products loaded` : ''}${subscribersLoaded > 0 ? `, ${subscribersLoaded} sample subscribers` : ''}). Ctrl-C stops everything.

  API           ${gatewayUrl}/api      documentation  ${gatewayUrl}/docs
  logs          ${apps[0]?.logFile.replace(/[^/]+$/, '') ?? ''}
  key           ${apiKey}
                (development only, kept in ${developmentKeyFileOf(stateDirectory)})

Try it:
  ${curl} '${gatewayUrl}/api/search?q=headphones&limit=3'
  ${curl} '${gatewayUrl}/api/products/MR-00001/similar?limit=3'
  ${curl} '${gatewayUrl}/api/ut360/services/DATA_ADVANCE/top?limit=3'
  ${curl} -X POST ${gatewayUrl}/api/products -H 'Content-Type: application/json' -d '${product}'
  ${curl} -X POST ${gatewayUrl}/api/event -H 'Content-Type: application/json' -d '{"user_id":123,"asin":"MR-00017","event_type":"click"}'
  ${curl} '${gatewayUrl}/api/recommendations?user_id=123&limit=3'
`;
}

/** Resolves at the first Ctrl-C, kill or closed terminal; more of them change nothing, stopping is bounded anyway. */
function untilSignal(aborter: AbortController): Promise<void> {
  return new Promise((done) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(name, () => {
        aborter.abort(new Error('stopped before it was ready'));
        done();
      });
  });
}

/** npm start: runs until a signal. */
export async function run(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(USAGE);
    return 0;
  }
  if (process.env['NODE_ENV'] === 'production') throw new Error('this is for development (it hands out a development key): unset NODE_ENV, or deploy with infra/ and docker-compose.yml');
  const started = performance.now();
  const aborter = new AbortController();
  const signalled = untilSignal(aborter);
  const given = withFallbacks(process.env);
  console.log('starting PostgreSQL, Redis and the apps …');
  const stack = await startStack({
    stateDir: stateDir(),
    ports: portsFrom(process.env),
    external: { databaseUrl: given['DATABASE_URL'], redisUrl: given['REDIS_URL'], cacheRedisUrl: given['CACHE_REDIS_URL'], ut360RedisUrl: given['UT360_REDIS_URL'] },
    inheritsShell: true,
    sample: !args.includes('--no-sample'),
    signal: aborter.signal,
    onEvent: (text) => console.error(text),
  });
  console.log(tour(stack, (performance.now() - started) / 1_000));
  await signalled;
  console.log('stopping …');
  const stopStarted = performance.now();
  await stack.stop();
  console.log(`stopped in ${((performance.now() - stopStarted) / 1_000).toFixed(1)} s`);
  return 0;
}
