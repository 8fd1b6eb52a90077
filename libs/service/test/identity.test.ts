import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT, importJWK } from 'jose';
import { createServiceKeys, openIdentitySigner, openIdentityVerifier } from '../src/index.ts';

let directory: string;
let keys: Awaited<ReturnType<typeof createServiceKeys>>;
const file = (name: string): string => join(directory, name);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-identity-'));
  keys = await createServiceKeys(['gateway', 'catalog-api']);
  for (const [name, jwk] of Object.entries(keys.privateKeys)) await writeFile(file(`${name}.jwk`), JSON.stringify(jwk));
  await writeFile(file('jwks.json'), JSON.stringify(keys.jwks));
});

const caller = { subject: 'key_1', scopes: ['products:read', 'admin'] };

describe('internal identity', () => {
  it('carries the caller, its scopes and the issuer to the audience', async () => {
    const token = await (await openIdentitySigner(file('gateway.jwk'))).sign('catalog-api', caller);
    const verifier = await openIdentityVerifier(file('jwks.json'), 'catalog-api');
    await expect(verifier.verify(token)).resolves.toEqual({ issuer: 'gateway', ...caller });
    await expect(verifier.verify(token)).resolves.toEqual({ issuer: 'gateway', ...caller });
  });
  it('carries the workspace of a caller that has one, and never that of another caller', async () => {
    const signer = await openIdentitySigner(file('gateway.jwk'));
    const verifier = await openIdentityVerifier(file('jwks.json'), 'catalog-api');
    const seen = await Promise.all([{ ...caller, workspaceId: 'acme' }, caller, { ...caller, workspaceId: 'other' }].map(async (one) => (await verifier.verify(await signer.sign('catalog-api', one))).workspaceId));
    expect(seen).toEqual(['acme', undefined, 'other']);
  });
  it('refuses a token for another service', async () => {
    const token = await (await openIdentitySigner(file('gateway.jwk'))).sign('es-sync-worker', caller);
    await expect((await openIdentityVerifier(file('jwks.json'), 'catalog-api')).verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
  it('refuses a token that a stranger signed', async () => {
    const stranger = await createServiceKeys(['gateway']);
    await writeFile(file('stranger.jwk'), JSON.stringify(stranger.privateKeys['gateway']));
    const token = await (await openIdentitySigner(file('stranger.jwk'))).sign('catalog-api', caller);
    await expect((await openIdentityVerifier(file('jwks.json'), 'catalog-api')).verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
  it("refuses a service that speaks in another one's name", async () => {
    const own = keys.privateKeys['catalog-api'];
    if (!own) throw new Error('no key');
    const token = await new SignJWT({ scope: 'admin' }).setProtectedHeader({ alg: 'EdDSA', kid: 'catalog-api' }).setIssuer('gateway').setSubject('x').setAudience('catalog-api').setExpirationTime('60s').sign(await importJWK(own, 'EdDSA'));
    await expect((await openIdentityVerifier(file('jwks.json'), 'catalog-api')).verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
  it('refuses an expired token', async () => {
    const own = keys.privateKeys['gateway'];
    if (!own) throw new Error('no key');
    const token = await new SignJWT({}).setProtectedHeader({ alg: 'EdDSA', kid: 'gateway' }).setIssuer('gateway').setSubject('x').setAudience('catalog-api').setExpirationTime(Math.floor(Date.now() / 1_000) - 10).sign(await importJWK(own, 'EdDSA'));
    await expect((await openIdentityVerifier(file('jwks.json'), 'catalog-api')).verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});
