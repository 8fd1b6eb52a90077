import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findBoundaryProblems } from '../boundaries.ts';

/** A workspace of two apps and three libs that keeps every rule; each test breaks one. */
const sound: Record<string, string> = {
  'package.json': pkg('source', 'root', 'root', []),
  'apps/shop/package.json': pkg('shop', 'app', 'shop', ['orders', 'events', 'stock']),
  'apps/shop/src/main.ts': "import { orders } from '@millrace/orders';\nconsole.log(orders, process.env['PORT']);\n",
  'apps/stock/package.json': pkg('stock', 'app', 'stock', []),
  'apps/stock/src/main.ts': 'export const stock = 1;\n',
  'libs/orders/package.json': pkg('orders', 'lib', 'shared', ['events']),
  'libs/orders/src/index.ts': "import { created } from '@millrace/events';\nexport const orders = [created];\n",
  'libs/events/package.json': pkg('events', 'contract', 'shared', ['wire']),
  'libs/events/src/index.ts': "export const created = 'created';\n",
  'libs/wire/package.json': pkg('wire', 'platform', 'shared', []),
  'libs/wire/src/index.ts': 'export const wire = 1;\n',
};

function pkg(name: string, type: string, scope: string, uses: readonly string[]): string {
  const dependencies = Object.fromEntries(uses.filter((use) => use !== 'stock').map((use) => [`@millrace/${use}`, '*']));
  return JSON.stringify({ name: `@millrace/${name}`, exports: type === 'app' ? {} : { '.': './src/index.ts' }, dependencies, nx: { tags: [`type:${type}`, `scope:${scope}`] } });
}

describe('the module boundaries', () => {
  let dir = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'millrace-boundaries-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const problemsWith = (changed: Record<string, string>): string[] => {
    for (const [file, text] of Object.entries({ ...sound, ...changed })) {
      mkdirSync(dirname(join(dir, file)), { recursive: true });
      writeFileSync(join(dir, file), text);
    }
    return findBoundaryProblems(dir);
  };

  it('finds nothing in a workspace that keeps the rules', () => {
    expect(problemsWith({})).toEqual([]);
  });

  it.each([
    { rule: 'an app that imports an app', file: 'apps/shop/src/main.ts', text: "import { stock } from '@millrace/stock';\n", says: /an app never imports an app/ },
    { rule: 'a lib that imports an app', file: 'libs/orders/src/index.ts', text: "import '@millrace/stock';\n", says: /\(type:lib\) may not use @millrace\/stock \(type:app\)/ },
    { rule: 'a contract that imports a lib', file: 'libs/events/src/index.ts', text: "export { orders } from '@millrace/orders';\n", says: /\(type:contract\) may not use/ },
    { rule: 'a platform lib that imports a contract', file: 'libs/wire/src/index.ts', text: "import type { created } from '@millrace/events';\n", says: /\(type:platform\) may not use/ },
    { rule: 'an import that is not declared', file: 'libs/orders/src/index.ts', text: "import { z } from 'zod';\n", says: /zod is not in libs\/orders\/package\.json/ },
    { rule: 'a dynamic import that is not declared', file: 'libs/orders/src/index.ts', text: "export const z = await import('zod');\n", says: /zod is not in/ },
    { rule: 'a path into another project', file: 'libs/orders/src/index.ts', text: "import { wire } from '../../wire/src/index.ts';\n", says: /leaves the project/ },
    { rule: 'a door that is not public', file: 'libs/orders/src/index.ts', text: "import { x } from '@millrace/events/src/inside.ts';\n", says: /not a public door/ },
    { rule: 'process.env outside a composition root', file: 'libs/wire/src/index.ts', text: "export const port = process.env['PORT'];\n", says: /reads process\.env/ },
    { rule: 'a script that imports behind a door', file: 'scripts/try.ts', text: "import { wire } from '../libs/wire/src/inside.ts';\n", says: /leaves scripts/ },
    { rule: 'a script that imports an app', file: 'scripts/try.ts', text: "import { stock } from '../apps/stock/src/main.ts';\n", says: /leaves scripts/ },
    { rule: 'a lib of one owner used by another owner', file: 'libs/events/package.json', text: pkg('events', 'contract', 'stock', ['wire']), says: /\(scope:shop\) may not use @millrace\/events \(scope:stock\)/ },
    { rule: 'an engine that is loaded beside its loader', file: 'libs/orders/src/index.ts', text: "export const bus = await import('@millrace/bus-nats');\n", says: /bus-nats is loaded by libs\/open-bus\/src\/index\.ts alone/ },
    { rule: 'a project without a type', file: 'libs/wire/package.json', text: pkg('wire', 'none', 'shared', []), says: /no known type/ },
  ])('refuses $rule', ({ file, text, says }) => {
    expect(problemsWith({ [file]: text }).join('\n')).toMatch(says);
  });

  it('names who loads an engine at its start, or from another place than the one that opens it', () => {
    const engine = { 'libs/vectors-milvus/package.json': pkg('vectors-milvus', 'lib', 'shared', []), 'libs/vectors-milvus/src/index.ts': 'export const open = 1;\n', 'libs/vector-engines/package.json': pkg('vector-engines', 'lib', 'shared', ['vectors-milvus']) };
    const opener = 'libs/vector-engines/src/open-vectors.ts';
    expect(problemsWith({ ...engine, [opener]: "import type { Options } from '@millrace/vectors-milvus';\nexport const load = () => import('@millrace/vectors-milvus');\n" })).toEqual([]);
    expect(problemsWith({ ...engine, [opener]: "import { open } from '@millrace/vectors-milvus';\nopen();\n" })).toEqual([`${opener}: @millrace/vectors-milvus is loaded where it is configured: use import()`]);
    expect(problemsWith({ ...engine, [opener]: '', 'libs/orders/package.json': pkg('orders', 'lib', 'shared', ['events', 'vectors-milvus']), 'libs/orders/src/index.ts': "export const load = () => import('@millrace/vectors-milvus');\n" })).toEqual([
      `libs/orders/src/index.ts: @millrace/vectors-milvus is loaded by ${opener} only`,
    ]);
  });

  it('lets a script use a lib by its door, and a benchmark measure inside an app', () => {
    const scripts = { 'scripts/try.ts': "import { wire } from '../libs/wire/src/index.ts';\nimport '@millrace/events';\n", 'scripts/bench/stock.ts': "import { stock } from '../../apps/stock/src/main.ts';\n" };
    expect(problemsWith(scripts)).toEqual([]);
  });

  it('does not take an import in a comment for one', () => {
    expect(problemsWith({ 'libs/wire/src/index.ts': "/** import { z } from 'zod'; */\n// import 'zod';\nexport const wire = 1;\n" })).toEqual([]);
  });
});
