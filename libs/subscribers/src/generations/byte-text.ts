// Text whose characters are the bytes of UTF-8: where it is only cut and joined, nobody has to look for characters of several bytes.

// oxlint-disable-next-line no-control-regex -- that is what ASCII is
const NOT_ASCII = /[^\x00-\x7f]/;

export const toBytes = (text: string): string => (NOT_ASCII.test(text) ? Buffer.from(text).toString('latin1') : text);
export const fromBytes = (bytes: string): string => (NOT_ASCII.test(bytes) ? Buffer.from(bytes, 'latin1').toString() : bytes);

/** A function that puts text around a text, for bytes. */
export const onBytes = (map: (text: string) => string): ((bytes: string) => string) => (bytes) => (NOT_ASCII.test(bytes) ? toBytes(map(fromBytes(bytes))) : map(bytes));
