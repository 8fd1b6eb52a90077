import { createServer, type IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';

const requestSchema = z.strictObject({ model: z.string(), input: z.array(z.string().min(1)).min(1).max(2_048), encoding_format: z.literal('float'), dimensions: z.int().positive().optional() });
export type EmbeddingsRequest = z.output<typeof requestSchema>;

/** An answer of the stub: a status with a body, raw text, or silence. */
export type Reply = { readonly status?: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> } | { readonly raw: string } | 'never';

export interface Seen { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: EmbeddingsRequest }

export interface OpenAiStub {
  readonly url: string;
  readonly seen: readonly Seen[];
  /** How the next requests are answered, each once; then as `otherwise` says. */
  replies: ((request: EmbeddingsRequest) => Reply)[];
  otherwise: (request: EmbeddingsRequest) => Reply;
  stop(): Promise<void>;
}

/** What the API documents as an answer: one embedding for each input, here the length of the text and ones. */
export function answerTo({ input, model, dimensions = 4 }: EmbeddingsRequest): Reply {
  const data = input.map((text, index) => ({ object: 'embedding', index, embedding: Array.from({ length: dimensions }, (_value, at) => (at === 0 ? text.length : 1)) }));
  const tokens = input.reduce((sum, text) => sum + Math.ceil(text.length / 4), 0);
  return { body: { object: 'list', data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } } };
}

/** A problem as the API documents it. */
export const problem = (status: number, error: { message: string; type: string; code?: string | null }, headers: Readonly<Record<string, string>> = {}): Reply => ({ status, body: { error: { param: null, code: null, ...error } }, headers });

/** The API's `POST /v1/embeddings` on this machine. Refuses what the documentation does not know. */
export async function startOpenAiStub(): Promise<OpenAiStub> {
  const seen: Seen[] = [];
  const stub: Pick<OpenAiStub, 'replies' | 'otherwise'> = { replies: [], otherwise: answerTo };
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const parsed = requestSchema.safeParse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
      if (req.method !== 'POST' || !parsed.success) return res.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { message: 'the stub does not know this request', type: 'invalid_request_error' } }));
      seen.push({ path: req.url ?? '', headers: req.headers, body: parsed.data });
      const reply = (stub.replies.shift() ?? stub.otherwise)(parsed.data);
      if (reply === 'never') return undefined;
      if ('raw' in reply) return res.writeHead(200, { 'content-type': 'application/json' }).end(reply.raw);
      return res.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers }).end(JSON.stringify(reply.body));
    });
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const address = server.address();
  return Object.assign(stub, {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/v1`, seen,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    },
  });
}
