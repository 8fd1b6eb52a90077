import { exportJWK, generateKeyPair } from 'jose';
import type { JWK } from 'jose';

export interface ServiceKeys {
  readonly privateKeys: Readonly<Record<string, JWK>>;
  readonly jwks: { readonly keys: readonly JWK[] };
}

/** A fresh Ed25519 key for each service (kid = its name), and the JWKS of their public halves. */
export async function createServiceKeys(services: readonly string[]): Promise<ServiceKeys> {
  const pairs = await Promise.all(services.map(async (kid) => {
    const { privateKey, publicKey } = await generateKeyPair('EdDSA', { extractable: true });
    return { kid, own: { ...(await exportJWK(privateKey)), kid }, open: { ...(await exportJWK(publicKey)), kid, alg: 'EdDSA', use: 'sig' } };
  }));
  return { privateKeys: Object.fromEntries(pairs.map(({ kid, own }) => [kid, own])), jwks: { keys: pairs.map(({ open }) => open) } };
}
