import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

/** What is done with the secret of erasures (UT360_ERASURE_SECRET). Its three keys are derived from it (HKDF-SHA-256, RFC 5869). */
export interface ErasureKey {
  /** For `hmacOf`, also in another thread. */
  readonly hmacKey: Uint8Array;
  /** Tells one secret from another, and nothing else. */
  readonly fingerprint: string;
  /** Covers and uncovers the mark that is kept beside an HMAC: whoever has only the table learns nothing of the ISDN from it. */
  readonly coverMark: (hmac: string, mark: number) => number;
  /** AES-256-GCM (NIST SP 800-38D) with a nonce of its own. */
  readonly seal: (isdn: string) => Buffer;
  /** Throws where it was sealed under another secret. */
  readonly unseal: (sealed: Buffer) => string;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';

const derive = (secret: string, purpose: string): Buffer => Buffer.from(hkdfSync('sha256', secret, '', `millrace ut360 erasure ${purpose}`, KEY_BYTES));

/** HMAC-SHA-256 (RFC 2104) of an ISDN as `parseIsdn` gives it. */
export const hmacOf = (hmacKey: Uint8Array, isdn: string): string => createHmac('sha256', hmacKey).update(isdn).digest('base64url');

/** FNV-1a (Fowler, Noll, Vo; 32 bits) of the character codes: it costs a hundredth of an HMAC, and says for nearly everybody that no HMAC is needed. */
export function markOf(isdn: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < isdn.length; at += 1) hash = Math.imul(hash ^ isdn.charCodeAt(at), 0x01000193);
  return hash | 0;
}

export function createErasureKey(secret: string): ErasureKey {
  const [hmacKey, markKey, sealKey] = [derive(secret, 'hmac'), derive(secret, 'mark'), derive(secret, 'seal')];
  return {
    hmacKey,
    fingerprint: derive(secret, 'fingerprint').toString('base64url'),
    coverMark: (hmac, mark) => mark ^ createHmac('sha256', markKey).update(hmac).digest().readInt32LE(0),
    seal(isdn) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, sealKey, nonce);
      const text = Buffer.concat([cipher.update(isdn, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), text]);
    },
    unseal(sealed) {
      const decipher = createDecipheriv(CIPHER, sealKey, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8');
    },
  };
}
