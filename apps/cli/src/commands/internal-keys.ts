import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createServiceKeys } from '@millrace/service';
import { identities } from '../services.ts';

/** Writes `<service>.jwk` for each service and `jwks.json` with the public keys, mode 0600. Existing keys are replaced: restart all services. */
export async function writeInternalKeys(directory: string): Promise<readonly string[]> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { privateKeys, jwks } = await createServiceKeys(identities);
  for (const [service, jwk] of Object.entries(privateKeys)) await writeFile(join(directory, `${service}.jwk`), JSON.stringify(jwk), { mode: 0o600 });
  await writeFile(join(directory, 'jwks.json'), JSON.stringify(jwks), { mode: 0o600 });
  return identities;
}
