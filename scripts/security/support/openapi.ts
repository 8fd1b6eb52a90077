/** Classes of characters that Python's regular expressions do not know, near enough for making texts. */
const CLASSES: readonly (readonly [string, string])[] = [
  [String.raw`\p{Cc}`, String.raw`\x00-\x1f\x7f-\x9f`], [String.raw`\p{Cs}`, String.raw`\ud800-\udfff`], [String.raw`\p{C}`, String.raw`\x00-\x1f\x7f-\x9f`], [String.raw`\p{Zl}`, String.raw`\u2028`], [String.raw`\p{Zp}`, String.raw`\u2029`],
];
const forPython = (pattern: string): string => CLASSES.reduce((text, [from, to]) => text.replaceAll(from, to), pattern);

/** Of a file every text is taken, and its bad lines are named in the answer: there is no body that must be refused. */
const isFile = (type: string): boolean => type === 'text/csv' || type === 'application/x-ndjson';
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
function anyFile(body: unknown): unknown {
  if (!isRecord(body) || !isRecord(body['content'])) return body;
  return { ...body, content: Object.fromEntries(Object.entries(body['content']).map(([type, media]) => [type, isFile(type) ? { schema: {} } : media])) };
}

/** The OpenAPI document with patterns that schemathesis, which is Python, can make texts of: else it leaves those operations out. */
export const documentForPython = (document: string): string =>
  JSON.stringify(JSON.parse(document, (key: string, value: unknown): unknown => (key === 'pattern' && typeof value === 'string' ? forPython(value) : key === 'requestBody' ? anyFile(value) : value)));
