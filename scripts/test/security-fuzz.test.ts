import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { documentForPython } from '../security/support/openapi.ts';

describe('npm run security -- fuzz', () => {
  it('gives the fuzzer patterns that it can make texts of, takes any text for a file, and changes nothing else of the document', () => {
    const document = readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8');
    const given = documentForPython(document);
    expect(document).toContain(String.raw`\\p{C}`);
    expect(given).not.toContain(String.raw`\\p{`);
    const withoutBoth = (text: string): unknown => JSON.parse(text, (key: string, value: unknown): unknown => (key === 'pattern' || key === 'requestBody' ? undefined : value));
    expect(withoutBoth(given)).toEqual(withoutBoth(document));
  });
});
