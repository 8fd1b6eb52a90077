import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

export interface SealKey {
  /** Letters, digits, - and _. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Buffer;
}

export interface Opened { readonly text: string; readonly keyId: string }

export interface Sealer {
  /** Id of the key that seals from now on. */
  readonly keyId: string;
  seal(text: string, place: string): string;
  /** Undefined for what was sealed by a key that is not known (any more), for another place, or changed since. */
  open(sealed: string, place: string): Opened | undefined;
}

const KEY_LIST = /^([\w-]{1,40}):([A-Za-z0-9+/_-]{43}=?)$/;

/** Reads `id:base64,id:base64`, each key 32 bytes; undefined where it is not so, or an id comes twice. The first one seals, all of them open. */
export function parseSealKeys(text: string): readonly [SealKey, ...SealKey[]] | undefined {
  const [first, ...rest] = text.split(',').map((one) => {
    const [, id, encoded] = KEY_LIST.exec(one.trim()) ?? [];
    const key = Buffer.from(encoded ?? '', 'base64');
    return id !== undefined && key.length === 32 ? { id, key } : undefined;
  });
  const others = rest.filter((key) => key !== undefined);
  if (first === undefined || others.length < rest.length || new Set([first, ...others].map(({ id }) => id)).size <= rest.length) return undefined;
  return [first, ...others];
}

/**
 * AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits for each text, and the place where it is kept as associated data: a text that is
 * copied under another name does not open. Form: v1.<key id>.<nonce>.<tag and ciphertext>, base64url.
 */
export function createSealer(keys: readonly [SealKey, ...SealKey[]]): Sealer {
  const [sealing] = keys;
  return {
    keyId: sealing.id,
    seal(text, place) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', sealing.key, nonce).setAAD(Buffer.from(place));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return `v1.${sealing.id}.${nonce.toString('base64url')}.${Buffer.concat([cipher.getAuthTag(), body]).toString('base64url')}`;
    },
    open(sealed, place) {
      const [form, keyId, nonce = '', body = ''] = sealed.split('.');
      const known = keys.find(({ id }) => id === keyId);
      const bytes = Buffer.from(body, 'base64url');
      if (form !== 'v1' || known === undefined || bytes.length < 16) return undefined;
      try {
        const decipher = createDecipheriv('aes-256-gcm', known.key, Buffer.from(nonce, 'base64url'), { authTagLength: 16 }).setAAD(Buffer.from(place)).setAuthTag(bytes.subarray(0, 16));
        return { text: decipher.update(bytes.subarray(16), undefined, 'utf8') + decipher.final('utf8'), keyId: known.id };
      } catch {
        // Not authentic, or a nonce of a wrong length: as if it were not there.
        return undefined;
      }
    },
  };
}
