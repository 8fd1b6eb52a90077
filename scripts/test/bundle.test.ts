import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { bundle, entryPoints } from '../bundle.ts';
import { root } from '../local/paths.ts';

const apps = globSync('apps/*/src/main.ts', { cwd: root }).map((file) => dirname(dirname(file))).toSorted();

const made = process.env['MILLRACE_BUNDLES'] ?? '';

describe('a bundle', () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-bundle-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it.each(apps)('of %s starts without node_modules and names the variables that it lacks', async (app) => {
    const out = join(dir, app);
    // Those that `npm test` made are copied: beside the repository there is no node_modules to be found.
    if (made === '') await bundle(root, app, out);
    else cpSync(join(made, basename(app)), out, { recursive: true });
    for (const name of Object.keys(entryPoints(root, app))) expect(existsSync(join(out, `${name}.js`))).toBe(true);
    const isCli = basename(app) === 'cli';
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(out, 'main.js'), ...(isCli ? ['--help'] : [])], {
      cwd: out, encoding: 'utf8', env: { PATH: process.env['PATH'] }, timeout: 30_000,
    });
    expect({ status, said: `${stdout}${stderr}` }).toEqual({ status: isCli ? 0 : 2, said: expect.stringMatching(isCli ? /Usage: millrace/ : /INTERNAL_KEY_FILE/) });
  });
});
