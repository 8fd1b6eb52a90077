import { hash } from 'node:crypto';

export interface EmbeddedFields {
  readonly name: string;
  readonly description: string | null;
  readonly category: string | null;
}

/** What is embedded of a product. */
export function productText({ name, description, category }: EmbeddedFields): string {
  return [name, description, category].filter((part) => part !== null && part !== '').join('\n');
}

/** Names a text: equal texts have equal hashes (128 bits of SHA-256, base64url). */
export const textHash = (text: string): string => hash('sha256', text, 'base64url').slice(0, 22);
