import { describe, expect, it } from '@jest/globals';
import express from 'express';
import type { Request, Response } from 'express';
import { createPathFinder, toExpressPath } from '@millrace/http';

const paths = ['/api/things', '/api/things/latest', '/api/things/{sku}', '/api/things/{sku}/similar', '/api/{kind}/special', '/api/things/{sku}/{part}', '/{any}/things/x', '/api/other/{id}', '/one'];

/** What express says of the same operations. */
async function byExpress(url: string): Promise<{ path: string; params: unknown } | undefined> {
  const router = express.Router({ caseSensitive: true, strict: false });
  const { promise, resolve } = Promise.withResolvers<{ path: string; params: unknown } | undefined>();
  for (const path of paths) router.get(toExpressPath(path), (req) => resolve({ path: String(req.route.path), params: { ...req.params } }));
  router({ method: 'GET', url, originalUrl: url, headers: {} } as Request, {} as Response, () => resolve(undefined));
  return promise;
}

const find = createPathFinder(paths.map((path) => ({ path, handle: async () => undefined })));

describe('a path that is found without express', () => {
  it.each([
    '/api/things', '/api/things?limit=2&x=/a/b', '/api/things/latest', '/api/things/MR-1', '/api/things/MR-1/similar', '/api/things/MR-1/more', '/api/other/special', '/api/new/special', '/x/things/x', '/api/things/x', '/one', '/',
    '/api/things/%C4%91%C3%A8n', '/api/things/a%2Fb', '/api/things/a%20b/similar', '/api/other', '/api', '/two', '/API/things', '/api/things/__proto__', '/__proto__/things/x', '/api/things/a.b~c!$&()*+,;=:@',
  ])('%s is what express finds', async (url) => {
    const expected = await byExpress(url);
    const found = find(url);
    expect(found && { path: found.path, params: { ...found.params } }).toEqual(expected);
  });
  it.each(['/api/things/', '/api//things', '/api/things//similar', '/api/things/%', '/api/things/%ff', '//api/things', 'http://x/api/things', '*', '', '/api/things#x', '/api/things/đ', '/api/things/a b', '/api/things/\u00A0'])('%j is left to express', (url) => {
    expect(find(url)).toBeUndefined();
  });
  it('is left to express where that is to answer it, also where a later one would fit', () => {
    const partly = createPathFinder([{ path: '/api/things/latest', handle: undefined }, { path: '/api/things/{sku}', handle: async () => undefined }]);
    expect([partly('/api/things/latest'), partly('/api/things/x')?.params]).toEqual([undefined, { sku: 'x' }]);
  });
});
