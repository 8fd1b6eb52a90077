import { randomBytes } from 'node:crypto';

export interface Tokens {
  /** A new bearer token; with `single` the ones before end with it. */
  issue(seconds: number): string;
  isValid(token: string): boolean;
  /** Ends all of them, as where somebody presses "stop" in the shop's settings. */
  revoke(): void;
  readonly issued: number;
}

export function createTokens({ single }: { readonly single: boolean }): Tokens {
  const ends = new Map<string, number>();
  let issued = 0;
  return {
    issue(seconds) {
      if (single) ends.clear();
      const token = randomBytes(48).toString('base64url');
      ends.set(token, Date.now() + seconds * 1_000);
      issued += 1;
      return token;
    },
    isValid: (token) => (ends.get(token) ?? 0) > Date.now(),
    revoke: () => ends.clear(),
    get issued() { return issued; },
  };
}
