// Written by scripts/generate.ts: libs/tracker/millrace.js, what the gateway serves. A test checks that it is up to date.
import { join } from 'node:path';
import { build } from 'esbuild';
import { root } from './local/paths.ts';

export const trackerFile = join(root, 'libs', 'tracker', 'millrace.js');

/** For every browser of the last five years: Chrome and Edge 88, Firefox 78, Safari 14. */
export async function builtTracker(): Promise<string> {
  const { outputFiles } = await build({ absWorkingDir: root, entryPoints: ['libs/tracker/src/browser.ts'], bundle: true, minify: true, format: 'iife', target: 'es2020', charset: 'utf8', write: false });
  return outputFiles.map(({ text }) => text).join('');
}
