// Everything here is random per installation, kept in files of mode 0600, made once and then reused.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

/** Writes the whole file or nothing, readable by its owner only. */
export function writeSecret(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, file);
}

/** The secret of that file, made where there is none. */
export function keptSecret(file: string, make: () => string): string {
  if (!existsSync(file)) writeSecret(file, `${make()}\n`);
  return readFileSync(file, 'utf8').trim();
}

/** 192 random bits, safe inside a URL. */
export const newPassword = (): string => randomBytes(24).toString('base64url');

function newServiceKey(service: string): string {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return JSON.stringify({ ...jwk, kid: service, alg: 'EdDSA', use: 'sig' });
}

/** Only what may be public: a field that is not listed here never leaves the private file. */
const publicJwk = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), kid: z.string(), alg: z.literal('EdDSA'), use: z.literal('sig') });

export interface ServiceKeys {
  readonly jwksFile: string;
  keyFile(service: string): string;
}

/** An Ed25519 key (private JWK) for each service and the JWKS of their public halves. Existing keys are kept. */
export function ensureServiceKeys(dir: string, services: readonly string[]): ServiceKeys {
  const keyFile = (service: string): string => join(dir, `${service}.jwk`);
  const keys = services.map((service) => publicJwk.parse(JSON.parse(keptSecret(keyFile(service), () => newServiceKey(service)))));
  const jwksFile = join(dir, 'jwks.json');
  writeSecret(jwksFile, `${JSON.stringify({ keys }, null, 2)}\n`);
  return { jwksFile, keyFile };
}
