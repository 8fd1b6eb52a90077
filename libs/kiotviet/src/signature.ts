import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Does X-Hub-Signature belong to the body? HMAC-SHA-256 (RFC 2104) over the bytes as they came, in hex, with or without `sha256=` in front, compared in
 * constant time. KiotViet's documentation has the secret encoded as Base64 when the webhook is registered and does not say which of the two texts signs:
 * both are taken. Several secrets may be in force while one is replaced.
 */
export function isSignedBy(body: Buffer, signature: string | undefined, secrets: readonly string[]): boolean {
  const hex = /^(?:sha256=)?([0-9a-f]{64})$/i.exec(signature?.trim() ?? '')?.[1];
  const given = Buffer.from(hex ?? '0'.repeat(64), 'hex');
  let isGood = false;
  // All are compared, whichever fits.
  for (const secret of secrets.flatMap((text) => [text, Buffer.from(text).toString('base64')])) isGood = timingSafeEqual(createHmac('sha256', secret).update(body).digest(), given) || isGood;
  return isGood && hex !== undefined;
}
