import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { sdkFiles } from '../build-sdk.ts';
import { builtTracker, trackerFile } from '../build-tracker.ts';
import { configuredApps, envExample, readmeWithTable } from '../generate.ts';
import { root } from '../local/paths.ts';

describe('generated files (node scripts/generate.ts writes them)', () => {
  it('has an .env.example that is up to date', async () => {
    expect(readFileSync(join(root, '.env.example'), 'utf8')).toBe(await envExample());
  });
  it('has a tracking script that is built from libs/tracker, below 3,000 bytes', async () => {
    const script = readFileSync(trackerFile, 'utf8');
    expect(script).toBe(await builtTracker());
    expect(Buffer.byteLength(script)).toBeLessThan(3_000);
  });
  it('has the OpenAPI document that the gateway serves, and the types that the SDK has of it', async () => {
    const stale = (await sdkFiles()).filter(({ file, wanted }) => !existsSync(file) || readFileSync(file, 'utf8') !== wanted).map(({ file }) => relative(root, file));
    expect(stale).toEqual([]);
  });
  it.each(configuredApps())('has a README of %s whose table of variables is up to date', async (app) => {
    const readme = await readmeWithTable(app);
    expect(readme?.now).toBe(readme?.wanted);
  });
});
