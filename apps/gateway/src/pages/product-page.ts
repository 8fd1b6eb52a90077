import { alsoBoughtProducts, getProduct, problemSchema, productSchema, similarProducts } from '@millrace/contracts';
import type { Operation, PartStatus, ProductPagePart } from '@millrace/contracts';
import { errorStatuses } from '@millrace/http';
import { AppError, notFound, within } from '@millrace/service';
import type { Identity } from '@millrace/service';
import type { Request } from 'express';
import { parseJson } from '../cache/parse-json.ts';
import type { Answer } from '../policy.ts';
import type { AskPart } from './ask-part.ts';

/** What one part came to. */
export interface Part {
  readonly status: PartStatus;
  readonly data: unknown;
  readonly detail: string | null;
  readonly age_seconds: number | null;
}

interface PartRule {
  readonly operation: Operation;
  /** Longest time that the page waits for it. */
  readonly timeoutMs: number;
  readonly hasLimit: boolean;
  readonly isFresh?: boolean;
}

/** What each part is made of. */
export const partRules: Readonly<Record<ProductPagePart, PartRule>> = {
  product: { operation: getProduct, timeoutMs: 3_000, hasLimit: false },
  similar: { operation: similarProducts, timeoutMs: 2_000, hasLimit: true },
  also_bought: { operation: alsoBoughtProducts, timeoutMs: 2_000, hasLimit: true },
  // Whoever buys must know what is so now.
  stock: { operation: getProduct, timeoutMs: 2_000, hasLimit: false, isFresh: true },
};

/** One page, as it is asked for. */
export interface PageCall {
  readonly req: Request;
  readonly identity: Identity;
  readonly sku: string;
  readonly limit: number;
  readonly parts: readonly ProductPagePart[];
}

export interface ProductPageDeps {
  readonly ask: AskPart;
  readonly onPart: (part: ProductPagePart, status: PartStatus) => void;
  readonly rules?: typeof partRules;
}

const failed = (status: PartStatus, detail: string): Part => ({ status, data: null, detail, age_seconds: null });

const statusOf = (status: number): PartStatus => (status === 404 ? 'not_found' : status === 403 ? 'forbidden' : status === 504 ? 'timeout' : 'unavailable');

function toPart(answer: Answer | undefined): Part {
  if (!answer) return failed('unavailable', 'the answer is too long for a page: ask for it by itself');
  const body = parseJson(answer.body);
  if (answer.status !== 200) return failed(statusOf(answer.status), problemSchema.safeParse(body).data?.detail ?? `the service answered ${answer.status}`);
  if (body === undefined) return failed('unavailable', 'the service answered in a form that this gateway does not know');
  const age = answer.headers['age'];
  return { status: 'ok', data: body, detail: null, age_seconds: age === undefined ? null : Number(age) };
}

const withStock = productSchema.pick({ stock: true, version: true });

/** Of the whole product that was read. */
function toStock(part: Part): Part {
  if (part.status !== 'ok') return part;
  const { data } = withStock.safeParse(part.data);
  return data ? { ...part, data: { stock: data.stock, in_stock: data.stock !== 0, version: data.version } } : failed('unavailable', 'the service answered in a form that this gateway does not know');
}

/** One part by itself: whatever fails in it fails in no other. */
const createReadPart = ({ ask, rules = partRules }: ProductPageDeps) => async (name: ProductPagePart, { req, identity, sku, limit }: PageCall): Promise<Part> => {
  const { operation, timeoutMs, hasLimit, isFresh = false } = rules[name];
  if (!identity.scopes.includes(operation.scope)) return failed('forbidden', `this needs the scope ${operation.scope}`);
  const query: Readonly<Record<string, string>> = hasLimit ? { limit: String(limit) } : {};
  const url = `${operation.path.replace('{sku}', encodeURIComponent(sku))}${hasLimit ? `?limit=${limit}` : ''}`;
  try {
    const answer = ask(operation, { req, identity, url, params: { sku }, query, isFresh });
    return toPart(await within(timeoutMs, answer, () => new AppError('upstream_timeout', `${operation.service} did not answer within ${timeoutMs / 1_000} s`)));
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return failed(statusOf(errorStatuses[error.code].status), error.message);
  }
};

/** Both read the same product. Where only the one that is never cached could be had, it is the product, too. */
function reconcile(found: ReadonlyMap<ProductPagePart, Part>): ReadonlyMap<ProductPagePart, Part> {
  const stock = found.get('stock');
  const product = found.get('product');
  const settled = new Map(found);
  if (product && product.status !== 'ok' && stock?.status === 'ok') settled.set('product', stock);
  if (stock) settled.set('stock', toStock(stock));
  return settled;
}

/** What catalog-api says of the product, the fresh one first: recommender may not know it yet. */
const tellers = ['stock', 'product', 'similar'] as const;

/** @throws not_found where the product does not exist; forbidden and unavailable where there is nothing to show */
function checkSomething(sku: string, parts: ReadonlyMap<ProductPagePart, Part>): void {
  const teller = tellers.map((name) => parts.get(name)?.status).find((status) => status === 'ok' || status === 'not_found');
  if (teller === 'not_found') throw notFound(`the product ${sku}`);
  const all = [...parts.values()];
  if (all.some(({ status }) => status === 'ok' || status === 'not_found')) return;
  if (all.every(({ status }) => status === 'forbidden')) throw new AppError('forbidden', all[0]?.detail ?? 'a scope is missing');
  throw new AppError('unavailable', 'no part of this page can be had now: try again', { headers: { 'Retry-After': '1' } });
}

/** All parts at once; each has its own deadline, so the page takes no longer than the longest of them. */
export const createReadProductPage = (deps: ProductPageDeps): ((call: PageCall) => Promise<ReadonlyMap<ProductPagePart, Part>>) => {
  const readPart = createReadPart(deps);
  return async (call) => {
    const wanted = [...new Set(call.parts)];
    const found = reconcile(new Map(await Promise.all(wanted.map(async (name) => [name, await readPart(name, call)] as const))));
    for (const [name, { status }] of found) deps.onPart(name, status);
    checkSomething(call.sku, found);
    return found;
  };
};
