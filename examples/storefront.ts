// What the back end of a small shop does with Millrace, by the typed SDK:
//   MILLRACE_API_KEY=$(cat .local/secrets/development-key) node examples/storefront.ts headphones
import { ProblemError, createMillrace } from '@millrace/client';
import type { Schemas } from '@millrace/client';

const millrace = createMillrace({ baseUrl: process.env['MILLRACE_URL'] ?? 'http://127.0.0.1:8080', apiKey: process.env['MILLRACE_API_KEY'] ?? '', timeoutMs: 5_000, retries: 2 });
const [query = 'headphones'] = process.argv.slice(2);

/** The first hits, and what is like the best of them. */
async function show(q: string): Promise<Schemas['SearchHit'] | undefined> {
  const { data: answer } = await millrace.GET('/api/search', { params: { query: { q, limit: 3 } } });
  console.log(`${answer.total} found`);
  for (const { sku, name, price, currency } of answer.data) console.log(`  ${sku}  ${name}  ${price ?? '-'} ${currency}`);
  const [best] = answer.data;
  if (best === undefined) return undefined;
  const { data: similar } = await millrace.GET('/api/products/{sku}/similar', { params: { path: { sku: best.sku }, query: { limit: 3 } } });
  console.log(`similar to ${best.sku}: ${similar.data.map(({ sku }) => sku).join(', ') || 'nothing'}`);
  return best;
}

/** Takes one from the stock. The SDK sends an Idempotency-Key: a repeated request counts once. */
async function sell(sku: string): Promise<void> {
  try {
    const { data } = await millrace.POST('/api/products/{sku}/stock/adjust', { params: { path: { sku } }, body: { delta: -1 } });
    console.log(`sold one ${sku}, ${data.stock} left`);
  } catch (error) {
    // With Retry-After it is another conflict: the first try is still running.
    if (!(error instanceof ProblemError) || error.problem.code !== 'conflict' || error.retryAfterMs !== undefined) throw error;
    console.log(`${sku} is sold out`);
  }
}

/** Changes the price of what was read, unless somebody else changed it in between. */
async function discount(sku: string): Promise<void> {
  const path = { params: { path: { sku } } };
  const { data: product, response } = await millrace.GET('/api/products/{sku}', path);
  if (product?.price == null) return;
  const price = (product.price * 0.9).toFixed(2);
  await millrace.PATCH('/api/products/{sku}', { ...path, headers: { 'if-match': response.headers.get('etag') }, body: { price } });
  console.log(`${sku} costs ${price} ${product.currency} now`);
}

/** Pages are read as they are needed. */
async function countOutOfStock(atMost: number): Promise<void> {
  let [seen, empty] = [0, 0];
  for await (const { stock } of millrace.each('/api/products', { params: { query: { limit: 500 } } })) {
    seen += 1;
    if (stock === 0) empty += 1;
    if (seen === atMost) break;
  }
  console.log(`${empty} of ${seen} products are out of stock`);
}

const best = await show(query);
if (best !== undefined) {
  await sell(best.sku);
  await discount(best.sku);
}
await countOutOfStock(2_000);
