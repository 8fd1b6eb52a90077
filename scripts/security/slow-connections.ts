// npm run security -- slow-connections [--connections N] [--rounds N]: what 500 callers that send one byte a second (three of five in their headers, the
// rest in a body) cost the others. Rounds with and without them take turns on one gateway with a whole plane behind it.
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { alternate, median, percentile, row } from '../bench/support/measure.ts';
import type { BenchRow } from '../bench/support/measure.ts';
import { startStack } from '../local/stack.ts';
import { newStateDir } from '../local/test-run.ts';

const OTHERS = 4;
const REQUESTS = 2_000;
const DRIP_MS = 1_000;

interface Target { readonly url: URL; readonly key: string }

/** Milliseconds of each request, by a few connections that are busy all the time. */
async function latencies({ url, key }: Target): Promise<number[]> {
  const pool = new Pool(url.origin, { connections: OTHERS });
  const took: number[] = [];
  const work = async (): Promise<void> => {
    for (let n = 0; n < REQUESTS / OTHERS; n += 1) {
      const startMs = performance.now();
      const { statusCode, body } = await pool.request({ method: 'GET', path: '/api/products/MR-00017', headers: { 'x-api-key': key, 'cache-control': 'no-cache' } });
      await body.dump();
      if (statusCode !== 200) throw new Error(`the gateway answered ${statusCode}`);
      took.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: OTHERS }, work));
  await pool.close();
  return took;
}

interface SlowCallers { readonly open: () => number; stop(): void }

async function startSlowCallers({ url, key }: Target, count: number): Promise<SlowCallers> {
  const head = (start: string): string => `${start} HTTP/1.1\r\nHost: ${url.host}\r\nX-Api-Key: ${key}\r\n`;
  const sockets: Socket[] = Array.from({ length: count }, (_, n) => {
    const bytes = n % 5 < 3 ? `${head('GET /api/products/MR-00017')}X-Slow: ` : `${head('POST /api/products')}Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"name":"`;
    const socket = connect(Number(url.port), url.hostname, () => void socket.write(bytes));
    return socket.on('error', () => undefined).resume();
  });
  await Promise.all(sockets.map(async (socket) => socket.connecting && once(socket, 'connect')));
  const drip = setInterval(() => sockets.forEach((socket) => socket.writable && socket.write('x')), DRIP_MS);
  return {
    open: () => sockets.filter((socket) => socket.readyState === 'open').length,
    stop() {
      clearInterval(drip);
      for (const socket of sockets) socket.destroy();
    },
  };
}

export async function run(args: readonly string[]): Promise<BenchRow[]> {
  const { values } = parseArgs({ args: [...args], options: { connections: { type: 'string', default: '500' }, rounds: { type: 'string', default: '9' } } });
  const stack = await startStack({ stateDir: newStateDir('slow'), ports: 'free', durable: false, sample: true, apps: ['gateway', 'catalog-api', 'es-sync-worker', 'embedding-worker'], env: { LOG_LEVEL: 'warn' } });
  const target = { url: new URL(stack.gatewayUrl), key: stack.apiKey };
  const medians: { with: number[]; without: number[] } = { with: [], without: [] };
  let fewestOpen = Infinity;
  try {
    await latencies(target);
    const { a, b, ratio } = await alternate(Number(values.rounds), async () => {
      const slow = await startSlowCallers(target, Number(values.connections));
      const took = await latencies(target);
      fewestOpen = Math.min(fewestOpen, slow.open());
      slow.stop();
      medians.with.push(median(took));
      return percentile(took, 0.99);
    }, async () => {
      const took = await latencies(target);
      medians.without.push(median(took));
      return percentile(took, 0.99);
    });
    const [p50, p50Alone] = [median(medians.with), median(medians.without)];
    return [
      row(`p99 of others beside ${values.connections} slow connections`, median(a), { unit: 'ms', baseline: median(b), ratio, ratioAtMost: 2 }),
      row('p50 of the same', p50, { unit: 'ms', baseline: p50Alone, ratio: p50 / p50Alone }),
      row('slow connections that were open to the end', fewestOpen, { unit: 'connections' }),
    ];
  } finally {
    await stack.stop();
  }
}
