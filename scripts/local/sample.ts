import { setTimeout as delay } from 'node:timers/promises';
import { sampleMerchants, sampleProducts } from '@millrace/sample-catalogue';
import { z } from 'zod';

const page = z.object({ data: z.array(z.unknown()) });
const reportLine = z.object({ type: z.literal('report'), created: z.int(), updated: z.int(), failed: z.int(), error: z.string().nullable() });

interface Gateway {
  readonly url: string;
  readonly apiKey: string;
}

async function call({ url, apiKey }: Gateway, path: string, body?: { type: string; content: string }): Promise<Response> {
  const init = body === undefined ? {} : { method: 'POST', body: body.content };
  return fetch(new URL(path, url), { ...init, signal: AbortSignal.timeout(120_000), headers: { 'x-api-key': apiKey, ...(body && { 'content-type': body.type }) } });
}

async function refusal(response: Response): Promise<Error> {
  return new Error(`the sample catalogue was refused: ${response.status} ${(await response.text()).slice(0, 500)}`);
}

/** Is there no product yet? */
export async function isCatalogueEmpty(gateway: Gateway): Promise<boolean> {
  const response = await call(gateway, '/api/products?limit=1');
  if (!response.ok) throw await refusal(response);
  return page.parse(await response.json()).data.length === 0;
}

async function createMerchants(gateway: Gateway): Promise<void> {
  for (const { id, name } of sampleMerchants()) {
    const response = await call(gateway, '/api/merchants', { type: 'application/json', content: JSON.stringify({ id, name }) });
    // 409: the default merchant is there from the beginning.
    if (!response.ok && response.status !== 409) throw await refusal(response);
    await response.body?.cancel();
  }
}

function* lines(count: number): Iterable<string> {
  for (const product of sampleProducts({ count })) yield `${JSON.stringify(product)}\n`;
}

const VISIBLE_WITHIN_MS = 15_000;

/** Does this search or similarity query answer something by now? */
async function answers(gateway: Gateway, path: string): Promise<boolean> {
  const response = await call(gateway, path);
  const body: unknown = await response.json().catch(() => undefined);
  const found = page.safeParse(body);
  return response.ok && found.success && found.data.data.length > 0;
}

/** Waits until the last product is found and the first has similar ones, so that the tour works at once; false where that takes too long. */
export async function isSampleVisible(gateway: Gateway, count = 2_000): Promise<boolean> {
  const last = `MR-${String(count).padStart(5, '0')}`;
  const deadline = Date.now() + VISIBLE_WITHIN_MS;
  for (const path of [`/api/search?q=${last}&limit=1`, '/api/products/MR-00001/similar?limit=1'])
    while (!(await answers(gateway, path))) {
      if (Date.now() > deadline) return false;
      await delay(50);
    }
  return true;
}

/** Imports the sample catalogue through the gateway; a second time changes nothing. Returns how many products are there because of it. */
export async function loadSample(gateway: Gateway, count = 2_000): Promise<number> {
  await createMerchants(gateway);
  const response = await call(gateway, '/api/products/import', { type: 'application/x-ndjson', content: [...lines(count)].join('') });
  if (!response.ok) throw await refusal(response);
  const last = (await response.text()).trimEnd().split('\n').at(-1) ?? '';
  const report = reportLine.parse(JSON.parse(last));
  if (report.failed > 0 || report.error !== null) throw new Error(`the sample catalogue was imported with ${report.failed} failed rows: ${report.error ?? 'see the log of catalog-api'}`);
  return report.created + report.updated;
}
