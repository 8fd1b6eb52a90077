import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { appliedSchema } from '@millrace/contracts';
import type { ApplyChanges } from '@millrace/contracts';
import { uniqueName } from '@millrace/testing';
import { startCatalogApp } from './catalog-app.ts';
import type { Answer, CatalogApp } from './catalog-app.ts';

let app: CatalogApp;
beforeAll(async () => { app = await startCatalogApp(); });
afterAll(() => app.close());

const apply = (changes: ApplyChanges['changes'], fence = 1, source = 'pos'): Promise<Answer> => app.call('POST', '/internal/products/apply', { body: { source, fence, changes } });
const results = async (answer: Answer) => appliedSchema.parse(answer.body).results;
const create = (sku: string, over: Record<string, unknown> = {}): ApplyChanges['changes'][number] => ({ op: 'create', product: { sku, name: 'Trà', price: 1.5, currency: 'USD', ...over } });

describe('changes of another service', () => {
  it('are applied where the content is what was seen, and once', async () => {
    const sku = uniqueName('sku');
    const [created] = await results(await apply([create(sku, { stock: 3 })]));
    const version = created?.state === 'applied' ? (created.product?.content_version ?? 0) : 0;
    await app.call('POST', `/api/products/${sku}/stock/adjust`, { body: { delta: -1 } });
    const patch = { op: 'patch', sku, content_version: version, patch: { name: 'Trà sen' } } as const;
    expect((await results(await apply([patch]))).map(({ state }) => state)).toEqual(['applied']);
    expect((await results(await apply([patch]))).map(({ state }) => state)).toEqual(['moved']);
    expect((await app.call('GET', `/api/products/${sku}`)).body).toMatchObject({ name: 'Trà sen', stock: 2 });
  });

  it('that cannot be applied do not undo the others, and say why', async () => {
    const [a, b, c] = [uniqueName('a'), uniqueName('b'), uniqueName('c')];
    await apply([create(a)]);
    const answer = await results(await apply([create(a), create(b, { merchant_id: 99_999 }), create(c), { op: 'delete', sku: uniqueName('none'), content_version: 1 }]));
    expect(answer.map((one) => (one.state === 'refused' ? one.code : one.state))).toEqual(['moved', 'invalid_request', 'applied', 'moved']);
    expect((await app.call('GET', `/api/products/${c}`)).status).toBe(200);
  });

  it('of a writer whose lease has gone to another one are refused whole', async () => {
    const sku = uniqueName('sku');
    await apply([create(uniqueName('sku'))], 7);
    const late = await apply([create(sku)], 6);
    expect([late.status, late.body['code'], (await app.call('GET', `/api/products/${sku}`)).status]).toEqual([409, 'conflict', 404]);
    expect((await apply([create(sku)], 7)).status).toBe(200);
  });

  it('are written by a service in its own name only, and have to be well formed', async () => {
    expect((await apply([create('x')], 8, 'search')).status).toBe(403);
    expect((await apply([create(' x ')], 8)).status).toBe(400);
    expect((await apply([], 8)).status).toBe(400);
  });

  it('bring back a product that was deleted, under a higher version', async () => {
    const sku = uniqueName('sku');
    const [first] = await results(await apply([create(sku)], 9));
    const version = first?.state === 'applied' ? (first.product?.content_version ?? 0) : 0;
    await apply([{ op: 'delete', sku, content_version: version }], 9);
    const [again] = await results(await apply([create(sku)], 9));
    expect(again?.state === 'applied' && (again.product?.version ?? 0) > version).toBe(true);
  });
});
