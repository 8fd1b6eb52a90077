// npm run bench -- mcp: what a call of a tool adds to the call of the API that it makes, through the same gateway, one call at a time.
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { loadavg } from 'node:os';
import { productExample } from '@millrace/contracts';
import { z } from 'zod';
import { median, percentile, row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';
import { startStack } from '../local/stack.ts';
import type { RunningApp, Stack } from '../local/stack-types.ts';
import { newStateDir } from '../local/test-run.ts';

const PAIRS = 7;
const CALLS = 100;
/** Until the compilers are done, for all alike. */
const WARM_UP = 2_000;
const CPU_CALLS = 400;
const SKU = 'BENCH-1';
/** More than is called. */
const LIMITS = { RATE_LIMIT_MCP_PER_MINUTE: '1000000', MCP_TOOL_LIMITS: 'get_product=1000000/1000000,check_stock=1000000/1000000' };

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
type Ask = () => Promise<string>;

const asker = (url: URL, { method, headers, body }: { readonly method: string; readonly headers: Readonly<Record<string, string>>; readonly body?: string }): Ask => async () => {
  const req = request(url, { method, agent, headers: { ...headers, ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }) } });
  req.end(body);
  const [res] = await once(req, 'response');
  let text = '';
  res.setEncoding('utf8');
  for await (const chunk of res) text += String(chunk);
  if (res.statusCode !== 200 || text.includes('"isError":true')) throw new Error(`${method} ${url.pathname} answered ${res.statusCode}: ${text.slice(0, 300)}`);
  return text;
};

async function msOfCalls(ask: Ask, calls: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let call = 0; call < calls; call += 1) {
    const startMs = performance.now();
    await ask();
    times.push(performance.now() - startMs);
  }
  return times;
}

/** Of its process, since it began. */
const cpuSecondsOf = async ({ internalUrl }: RunningApp): Promise<number> => Number(/^process_cpu_seconds_total\S* (\S+)$/m.exec(await (await fetch(`${internalUrl}/metrics`)).text())?.[1]);

/** Milliseconds of processor time of each of these processes for one call. Hardly depends on what else the machine does. */
async function cpuMsOf(apps: readonly RunningApp[], ask: Ask): Promise<readonly number[]> {
  const before = await Promise.all(apps.map(cpuSecondsOf));
  await msOfCalls(ask, CPU_CALLS);
  return (await Promise.all(apps.map(cpuSecondsOf))).map((seconds, at) => ((seconds - (before[at] ?? Number.NaN)) * 1_000) / CPU_CALLS);
}

async function compare(name: string, apps: readonly RunningApp[], direct: Ask, tool: Ask): Promise<BenchRow[]> {
  for (const ask of [direct, tool]) await msOfCalls(ask, WARM_UP);
  const pairs: { readonly direct: readonly number[]; readonly tool: readonly number[] }[] = [];
  for (let pair = 0; pair < PAIRS; pair += 1) {
    const first = await msOfCalls(pair % 2 === 0 ? direct : tool, CALLS);
    const second = await msOfCalls(pair % 2 === 0 ? tool : direct, CALLS);
    pairs.push(pair % 2 === 0 ? { direct: first, tool: second } : { direct: second, tool: first });
  }
  const of = (kind: 'direct' | 'tool'): number[] => pairs.flatMap((pair) => pair[kind]);
  const [cpuDirect, cpuTool] = [await cpuMsOf(apps, direct), await cpuMsOf(apps, tool)];
  return [
    row(`${name}: what the tool adds, p50`, median(pairs.map((pair) => median(pair.tool) - median(pair.direct))), { unit: 'ms', atMost: 3 }),
    row(`${name}: call of the tool, p50`, median(of('tool')), { unit: 'ms', baseline: median(of('direct')), ratio: median(pairs.map((pair) => median(pair.tool) / median(pair.direct))) }),
    row(`${name}: call of the tool, p99`, percentile(of('tool'), 0.99), { unit: 'ms', baseline: percentile(of('direct'), 0.99) }),
    ...apps.map((app, at) => row(`${name}: processor time of ${app.name} for a call`, cpuTool[at] ?? Number.NaN, { unit: 'ms', baseline: cpuDirect[at] ?? Number.NaN })),
  ];
}

const keySchema = z.object({ key: z.string() });

async function measure({ gatewayUrl, apiKey, apps }: Stack): Promise<BenchRow[]> {
  const own = { 'x-api-key': apiKey, 'content-type': 'application/json' };
  const post = (path: string, body: unknown): Promise<Response> => fetch(gatewayUrl + path, { method: 'POST', headers: own, body: JSON.stringify(body) });
  const { sku: _sku, version: _version, content_version: _content, price_minor: _minor, created_at: _created, updated_at: _updated, ...product } = productExample;
  const made = await post('/api/products', { ...product, sku: SKU });
  if (!made.ok) throw new Error(await made.text());
  // An ordinary key: one of development is not limited.
  const { key } = keySchema.parse(await (await post('/api/admin/keys', { name: 'bench', scopes: ['products:read'] })).json());
  const headers = { 'x-api-key': key, 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'user-agent': 'bench' };
  const read = (extra: Readonly<Record<string, string>> = {}): Ask => asker(new URL(`${gatewayUrl}/api/products/${SKU}`), { method: 'GET', headers: { 'x-api-key': key, ...extra } });
  const call = (name: string, args: unknown): Ask => asker(new URL(`${gatewayUrl}/mcp`), { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }) });
  const rows = [
    ...(await compare('get_product', apps, read(), call('get_product', { sku: SKU }))),
    ...(await compare('check_stock, past the cache', apps, read({ 'cache-control': 'no-cache' }), call('check_stock', { skus: [SKU] }))),
  ];
  return [...rows, row('load of the machine, one minute', loadavg()[0] ?? Number.NaN, { unit: 'processes' })];
}

/** The three services that a tool of products needs, durable as in production. */
export async function run(): Promise<BenchRow[]> {
  const stack = await startStack({ stateDir: newStateDir('mcp-bench'), ports: 'free', durable: true, apps: ['gateway', 'catalog-api', 'mcp'], env: { LOG_LEVEL: 'warn', ...LIMITS } });
  try {
    return await measure(stack);
  } finally {
    agent.destroy();
    await stack.stop();
  }
}
