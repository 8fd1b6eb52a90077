// Written by scripts/generate.ts: the OpenAPI document and what the SDK (libs/client) has of it. A test checks that all are up to date.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { operations, repetitions } from '../libs/contracts/src/index.ts';
import type { Repetition } from '../libs/contracts/src/index.ts';
import { root } from './local/paths.ts';

const generated = join(root, 'libs', 'client', 'src', 'generated');
const openApiFile = join(root, 'docs', 'openapi.json');

const gatewaySchema = z.object({ createOpenApi: z.custom<(list: typeof operations) => object>((value) => typeof value === 'function') });

/** What the gateway serves as /openapi.json, in the order of the route table. */
export async function builtOpenApi(): Promise<string> {
  const { createOpenApi } = gatewaySchema.parse(await import(join(root, 'apps', 'gateway', 'src', 'openapi.ts')));
  return `${JSON.stringify(createOpenApi(operations), null, 1)}\n`;
}

const componentsSchema = z.looseObject({ components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }) });

/** A schema that holds itself (any JSON value) would be a type that refers to itself, which TypeScript refuses: `unknown` instead. */
function withoutRecursion(document: string): string {
  const parsed = componentsSchema.parse(JSON.parse(document));
  const { schemas } = parsed.components;
  for (const [name, schema] of Object.entries(schemas)) if (JSON.stringify(schema).includes(`"#/components/schemas/${name}"`)) schemas[name] = {};
  return JSON.stringify(parsed);
}

/** By openapi-typescript, in a process of its own: it needs a TypeScript that has a compiler API (tools/openapi). */
async function builtTypes(document: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-openapi-'));
  try {
    const file = join(dir, 'openapi.json');
    writeFileSync(file, withoutRecursion(document));
    const tool = join(root, 'tools', 'openapi', 'node_modules', 'openapi-typescript', 'bin', 'cli.js');
    // A value with a default may be left out of a request; answers name what they always have as required.
    const { stdout } = await promisify(execFile)(process.execPath, [tool, file, '--default-non-nullable=false'], { cwd: dir, maxBuffer: 64 * 1_024 * 1_024 });
    return stdout;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** What a repetition of each POST does, by its path. */
function builtPosts(): string {
  const posts = operations.filter(({ method }) => method === 'post');
  const set = (name: string, comment: string, repetition: Repetition): string => {
    const paths = posts.filter(({ operationId }) => repetitions[operationId] === repetition).map(({ path }) => `  '${path}',\n`);
    return `\n/** ${comment} */\nexport const ${name}: ReadonlySet<string> = new Set([\n${paths.join('')}]);\n`;
  };
  return `// Written by scripts/generate.ts from libs/contracts.\n${set('keyedPosts', 'Paths of the POSTs that take an Idempotency-Key.', 'keyed')}${set('readPosts', 'Paths of the POSTs that change nothing.', 'read')}`;
}

export interface GeneratedFile { readonly file: string; readonly wanted: string }

/** docs/openapi.json and the generated sources of libs/client. */
export async function sdkFiles(): Promise<readonly GeneratedFile[]> {
  const document = await builtOpenApi();
  return [
    { file: openApiFile, wanted: document },
    { file: join(generated, 'openapi.ts'), wanted: await builtTypes(document) },
    { file: join(generated, 'posts.ts'), wanted: builtPosts() },
  ];
}
