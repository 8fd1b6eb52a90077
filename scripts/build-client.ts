// node scripts/build-client.ts [FOLDER]  ->  dist/libs/client: the SDK for users outside of this repository, plain ES modules and their types.
import { execFile } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { root } from './local/paths.ts';

const sources = join(root, 'libs', 'client');
const packageSchema = z.object({ name: z.string(), license: z.string(), dependencies: z.object({ 'openapi-fetch': z.string() }) });
const documentSchema = z.object({ info: z.object({ version: z.string() }) });
const read = <T>(file: string, schema: z.ZodType<T>): T => schema.parse(JSON.parse(readFileSync(file, 'utf8')));

/** The compiler rewrites `.ts` in what it emits as JavaScript, but not in declarations. */
function rewriteDeclarations(out: string): void {
  for (const file of globSync('**/*.d.ts', { cwd: out })) {
    const text = readFileSync(join(out, file), 'utf8');
    writeFileSync(join(out, file), text.replaceAll(/(from '\.{1,2}\/[^']+)\.ts'/g, "$1.js'"));
  }
}

/** Builds the package, as it may be packed and published, into a folder that is emptied first; answers the folder. Its version is that of the API. */
export async function buildClient(out = join(root, 'dist', 'libs', 'client')): Promise<string> {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const options = ['--declaration', '--noEmit', 'false', '--rewriteRelativeImportExtensions', '--rootDir', join(sources, 'src'), '--outDir', out];
  const base = ['--target', 'es2022', '--lib', 'es2022,dom', '--types', 'node', '--module', 'nodenext', '--strict', '--exactOptionalPropertyTypes', '--verbatimModuleSyntax', '--skipLibCheck'];
  await promisify(execFile)(join(root, 'node_modules', '.bin', 'tsc'), ['--ignoreConfig', ...base, ...options, join(sources, 'src', 'index.ts')], { cwd: root });
  rewriteDeclarations(out);
  const { name, license, dependencies } = read(join(sources, 'package.json'), packageSchema);
  const { version } = read(join(root, 'docs', 'openapi.json'), documentSchema).info;
  const manifest = { name, version, license, type: 'module', sideEffects: false, exports: { '.': { types: './index.d.ts', default: './index.js' } }, engines: { node: '>=20.3' }, dependencies: { 'openapi-fetch': dependencies['openapi-fetch'] } };
  writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  cpSync(join(root, 'LICENSE'), join(out, 'LICENSE'));
  return out;
}

if (import.meta.main) console.log(await buildClient(process.argv[2]));
