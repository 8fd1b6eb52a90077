import { eventually, uniqueName } from '../../../libs/testing/src/index.ts';
import type { Answer, Plane } from './plane.ts';

export interface Listed { readonly sku: string; readonly category: string | null; readonly stage: string; readonly together?: number; readonly explain?: { readonly parts: unknown; readonly factors: { readonly category: number; readonly seen: number; readonly price: number } } }
export interface List { readonly ranking_id: string; readonly data: readonly Listed[]; readonly context: string; readonly left_out?: readonly string[]; readonly experiments?: readonly { readonly key: string; readonly variant: string }[] }

/** A small shop on a plane: two categories of six products each, of which Audio is looked at more. */
export interface Shop {
  readonly audio: readonly string[];
  readonly lamps: readonly string[];
  readonly categories: { readonly audio: string; readonly lamps: string };
  /** POST /api/event; the whole answer. */
  did(userId: string, type: string, sku: string, over?: Record<string, unknown>): Promise<Answer>;
  /** GET /api/recommendations of the shop's two categories and all else there is. */
  list(query: string): Promise<List>;
  rerank(userId: string, items: readonly { readonly sku: string; readonly score: number }[]): Promise<List>;
  alsoBought(sku: string): Promise<Answer & { readonly data: readonly Listed[] }>;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the tests look at what is in it
const listOf = (answer: Answer): List => answer.body as unknown as List;

/** Resolves when the products are known to every service that a list needs. */
export async function openShop(plane: Plane): Promise<Shop> {
  const categories = { audio: uniqueName('Audio'), lamps: uniqueName('Lamps') };
  const skus = (name: string): string[] => Array.from({ length: 6 }, (_, n) => `${uniqueName(name)}-${n}`);
  const [audio, lamps] = [skus('audio'), skus('lamps')];
  await Promise.all([...audio, ...lamps].map((sku, n) =>
    plane.call('POST', '/api/products', { sku, name: `shopthing ${sku}`, category: n < 6 ? categories.audio : categories.lamps, brand: `Brand ${n}`, price: '20', currency: 'USD', stock: 5 })));
  const shop: Shop = {
    audio, lamps, categories,
    did: (userId, type, sku, over = {}) => plane.call('POST', '/api/event', { user_id: userId, asin: sku, event_type: type, ...over }),
    list: async (query) => listOf(await plane.call('GET', `/api/recommendations?${query}`)),
    rerank: async (userId, items) => listOf(await plane.call('POST', '/api/rerank', { user_id: userId, items })),
    alsoBought: async (sku) => {
      const answer = await plane.call('GET', `/api/products/${sku}/also-bought?limit=50`);
      return { ...answer, data: answer.status === 200 ? listOf(answer).data : [] };
    },
  };
  await eventually(async () => {
    const known = new Set((await shop.list('limit=100')).data.map(({ sku }) => sku));
    return [...audio, ...lamps].every((sku) => known.has(sku));
  });
  await eventually(async () => {
    const probe = uniqueName('probe');
    await Promise.all([audio[0], lamps[0]].map((sku) => shop.did(probe, 'click', sku ?? '')));
    const { body } = await plane.call('GET', `/api/users/${probe}/context`);
    return JSON.stringify(Object.keys(body['recent_categories'] ?? {}).toSorted()) === JSON.stringify([categories.audio, categories.lamps].toSorted());
  });
  return shop;
}
