import { execFile } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildClient } from '../build-client.ts';
import { root } from '../local/paths.ts';

const consumer = `import { ProblemError, createMillrace } from '@millrace/client';
import type { Schemas } from '@millrace/client';

const answer = (request: Request): Response => Response.json({ sku: new URL(request.url).pathname.split('/').at(-1), price: 20 });
const millrace = createMillrace({ baseUrl: 'http://shop.example', apiKey: 'mr_x', fetch: async (request) => answer(request) });
const { data } = await millrace.GET('/api/products/{sku}', { params: { path: { sku: 'a' } } });
const price: Schemas['Product']['price'] | undefined = data?.price;
console.log(data?.sku, price, new ProblemError({ type: 'x', title: 'x', status: 404, code: 'not_found', detail: 'no' }).message);
// @ts-expect-error -- no such path
export const wrong = () => millrace.GET('/api/nothing');
`;

describe('the package of the SDK', () => {
  let dir = '';
  const run = (program: string, ...args: readonly string[]) => promisify(execFile)(program, args, { cwd: dir });
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'millrace-sdk-'));
    mkdirSync(join(dir, 'node_modules', '@millrace'), { recursive: true });
    await buildClient(join(dir, 'node_modules', '@millrace', 'client'));
    for (const name of ['openapi-fetch', 'openapi-typescript-helpers']) symlinkSync(join(root, 'node_modules', name), join(dir, 'node_modules', name));
    writeFileSync(join(dir, 'package.json'), '{ "type": "module" }\n');
    writeFileSync(join(dir, 'shop.ts'), consumer);
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  it('holds JavaScript and declarations, and nothing that this repository alone has', () => {
    const files = globSync('node_modules/@millrace/client/**/*.{js,ts}', { cwd: dir });
    expect(files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([]);
    const imported = files.flatMap((file) => [...readFileSync(join(dir, file), 'utf8').matchAll(/^(?:import|export)[^'"]* from '([^']+)'/gm)].map(([, name]) => name));
    expect([...new Set(imported.filter((name) => !/^\.{1,2}\/.*\.js$/.test(name ?? '')))]).toEqual(['openapi-fetch']);
  });

  it('compiles in a strict project of somebody else, with the types of a browser, and runs there', async () => {
    await run(join(root, 'node_modules/.bin/tsc'), '--ignoreConfig', '--strict', '--target', 'es2022', '--lib', 'es2022,dom', '--types', '', '--module', 'nodenext', '--outDir', '.', 'shop.ts');
    expect((await run(process.execPath, 'shop.js')).stdout).toBe('a 20 no\n');
  });
});
