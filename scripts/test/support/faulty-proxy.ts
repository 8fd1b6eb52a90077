import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface BulkItem { status: number; error?: { type: string; reason: string }; [field: string]: unknown }

/** Stands before an HTTP server and does harm when it is told to. */
export interface FaultyProxy {
  readonly url: string;
  /** Connections are refused and broken. */
  down(on: boolean): void;
  /** Every request is answered 429. */
  busy(on: boolean): void;
  /** How many requests were. */
  refused(): number;
  /** Changes what a bulk request answers for each document. */
  onBulk(change: ((id: string, item: BulkItem) => BulkItem) | undefined): void;
  /** Ids of each bulk request, in their order. */
  readonly bulks: readonly (readonly string[])[];
  close(): void;
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const idsOf = (body: Buffer): string[] => {
  const lines = body.toString().split('\n').filter(Boolean);
  return lines.filter((_line, at) => at % 2 === 0).map((line) => (JSON.parse(line) as { index?: { _id?: string } }).index?._id ?? '');
};

/** Before the server of a URL. */
export async function startFaultyProxy(to: string): Promise<FaultyProxy> {
  const target = new URL(to);
  const bulks: (readonly string[])[] = [];
  let [isDown, isBusy, refused] = [false, false, 0];
  let change: ((id: string, item: BulkItem) => BulkItem) | undefined;
  const mangled = (body: Buffer): Buffer => {
    if (!change) return body;
    const answer = JSON.parse(body.toString()) as { errors: boolean; items: { index: BulkItem }[] };
    for (const one of answer.items) one.index = change(String(one.index['_id']), one.index);
    return Buffer.from(JSON.stringify({ ...answer, errors: answer.items.some(({ index }) => index.error !== undefined) }));
  };
  const forward = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const body = await readAll(req);
    const isBulk = req.url?.includes('_bulk') === true;
    if (isBulk) bulks.push(idsOf(body));
    if (isBusy) {
      refused += 1;
      res.writeHead(429, { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' }).end('{"error":{"type":"es_rejected_execution_exception","reason":"queue is full"},"status":429}');
      return;
    }
    const upstream = request({ host: target.hostname, port: target.port, method: req.method, path: req.url, headers: { ...req.headers, 'accept-encoding': 'identity' } });
    upstream.on('error', () => res.destroy());
    upstream.end(body);
    const [answer] = (await once(upstream, 'response')) as [IncomingMessage];
    const said = await readAll(answer);
    const sent = isBulk && answer.statusCode === 200 ? mangled(said) : said;
    const { 'content-length': _length, 'transfer-encoding': _encoding, ...headers } = answer.headers;
    res.writeHead(answer.statusCode ?? 502, { ...headers, 'content-length': sent.length }).end(req.method === 'HEAD' ? undefined : sent);
  };
  const server = createServer((req, res) => void forward(req, res).catch(() => res.destroy()));
  server.on('connection', (socket) => void (isDown && socket.destroy()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    bulks,
    down: (on) => {
      isDown = on;
      if (on) server.closeAllConnections();
    },
    busy: (on) => void (isBusy = on),
    refused: () => refused,
    onBulk: (next) => void (change = next),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
