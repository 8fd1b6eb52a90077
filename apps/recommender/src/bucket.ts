import { createHash } from 'node:crypto';

const BITS = 48;

/**
 * A number from 0 to 1 (exclusive) for a user: the first 48 bits of SHA-256("<salt>\n<user id>"), as a fraction. The same on every instance and for
 * ever; for other salts as good as independent. Hashing the user's id with the experiment's as the way to assign: Kohavi, Longbotham, Sommerfield
 * and Henne, "Controlled experiments on the web" (Data Mining and Knowledge Discovery 18, 2009), section 4.1.2, who found cryptographic hashes to be
 * without correlations between experiments.
 */
export const fractionOf = (salt: string, userId: string): number => createHash('sha256').update(`${salt}\n${userId}`).digest().readUIntBE(0, BITS / 8) / 2 ** BITS;

export interface Divided<V> {
  readonly key: string;
  /** Share of the users that take part, 0 to 1. */
  readonly audience: number;
  readonly variants: readonly V[];
}

/**
 * A user's variant; undefined: not in the audience. Depends on nothing but the experiment and the user, so that other experiments change nothing. Two
 * fractions are used, `<key>/audience` and `<key>/variant`: who takes part says nothing about who gets what. Variants get parts of the second one
 * by their weights, in their order.
 */
export function variantOf<V extends { readonly weight: number }>({ key, audience, variants }: Divided<V>, userId: string): V | undefined {
  if (fractionOf(`${key}/audience`, userId) >= audience) return undefined;
  const total = variants.reduce((sum, { weight }) => sum + weight, 0);
  let left = fractionOf(`${key}/variant`, userId) * total;
  return variants.find(({ weight }) => (left -= weight) < 0) ?? variants.at(-1);
}
