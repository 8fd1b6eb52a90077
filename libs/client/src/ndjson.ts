import { TransportError } from './errors.ts';

/** Whatever goes wrong while an answer is read is the transport's: a cut connection, a timeout, a body that is not of the contract. */
export async function readAnswer<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new TransportError('the answer broke off or is not of the contract', { cause: error });
  }
}

/** The lines of an NDJSON answer while they come, each given to `parse`. Throws TransportError where it breaks off or `parse` throws. */
async function* readLines<T>(body: ReadableStream<Uint8Array>, parse: (line: string) => T): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await readAnswer(() => reader.read());
      const parts = (rest + decoder.decode(value, { stream: !done })).split('\n');
      rest = done ? '' : (parts.pop() ?? '');
      for (const part of parts) if (part !== '') yield await readAnswer(async () => parse(part));
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/**
 * The lines of an import while they come. Its report, the last one, comes when the answer has ended: whoever stops there leaves no half-read answer behind,
 * for which fetch closes the connection and opens one that nobody uses.
 */
export async function* readImport<L extends { readonly type: string }>(body: ReadableStream<Uint8Array>, parse: (line: string) => L): AsyncGenerator<L, void, undefined> {
  let report: L | undefined;
  try {
    for await (const line of readLines(body, parse))
      if (line.type === 'report') report = line;
      else yield line;
  } catch (error) {
    // With the report all of it is said.
    if (!report) throw error;
  }
  if (report) yield report;
}
