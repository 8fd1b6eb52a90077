import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';

/** The wire as the SDK 9.0.0's own types have it (`pinecone-generated-ts-fetch/db_data`); what they do not know is refused. */
const metadataSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]));
const vectorSchema = z.strictObject({ id: z.string().min(1).max(512), values: z.array(z.number()).min(1), metadata: metadataSchema.optional() });
const upsertSchema = z.strictObject({ vectors: z.array(vectorSchema).min(1).max(1_000), namespace: z.string() });
const conditionSchema = z.union([z.strictObject({ $eq: z.union([z.string(), z.number(), z.boolean()]) }), z.strictObject({ $nin: z.array(z.string()).max(10_000) })]);
const querySchema = z.strictObject({ namespace: z.string(), topK: z.int().min(1).max(10_000), vector: z.array(z.number()), includeMetadata: z.boolean().optional(), includeValues: z.boolean().optional(), filter: z.record(z.string(), conditionSchema).optional() });
const deleteSchema = z.union([z.strictObject({ ids: z.array(z.string()).min(1).max(1_000), namespace: z.string(), deleteAll: z.literal(false).optional() }), z.strictObject({ deleteAll: z.literal(true), namespace: z.string() })]);

type Stored = z.output<typeof vectorSchema>;
type Space = Map<string, Stored>;

/** Documented limits: 2 MB a request, 40 KB of metadata a record. */
const requestBytes = 2_000_000;
const metadataBytes = 40_000;

export interface PineconeStub {
  readonly host: string;
  /** Routes, in the order of their requests. */
  readonly seen: readonly string[];
  /** Reads are behind writes by so many requests: as the service, which is behind by seconds. */
  behindBy: number;
  /** Answered to every request with this status, where it is set. */
  failWith: number | undefined;
  /** Such a route is taken in and never answered, nor done. */
  silentOn: string | undefined;
  /** Requests that were given up before they were answered. */
  readonly cancelled: readonly string[];
  stop(): Promise<void>;
}

const cosine = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0) / (Math.hypot(...a) * Math.hypot(...b));

const passes = ({ metadata = {} }: Stored, filter: z.output<typeof querySchema>['filter'] = {}): boolean =>
  Object.entries(filter).every(([field, condition]) => ('$eq' in condition ? metadata[field] === condition.$eq : !condition.$nin.includes(String(metadata[field]))));

class BadRequest extends Error {}

/** One index of `dimension` dimensions on this machine. Not Pinecone: it answers as the SDK's types and the documentation say. */
export async function startPineconeStub({ dimension, apiKey }: { readonly dimension: number; readonly apiKey: string }): Promise<PineconeStub> {
  const spaces = new Map<string, Space>();
  const pending: { left: number; readonly apply: () => void }[] = [];
  const seen: string[] = [];
  const cancelled: string[] = [];
  const state: Pick<PineconeStub, 'behindBy' | 'failWith' | 'silentOn'> = { behindBy: 0, failWith: undefined, silentOn: undefined };
  const spaceOf = (namespace: string): Space => {
    const space = spaces.get(namespace) ?? new Map<string, Stored>();
    spaces.set(namespace, space);
    return space;
  };
  const write = (apply: () => void): object => {
    if (state.behindBy === 0) apply();
    else pending.push({ left: state.behindBy, apply });
    return {};
  };
  const catchUp = (): void => {
    for (const one of pending) one.left -= 1;
    while ((pending[0]?.left ?? 1) <= 0) pending.shift()?.apply();
  };

  const upsert = (body: string): object => {
    if (Buffer.byteLength(body) > requestBytes) throw new BadRequest('request exceeds 2 MB');
    const { vectors, namespace } = upsertSchema.parse(JSON.parse(body));
    for (const { values, metadata } of vectors) {
      if (values.length !== dimension) throw new BadRequest(`Vector dimension ${values.length} does not match the dimension of the index ${dimension}`);
      if (values.every((value) => value === 0)) throw new BadRequest('Dense vectors must contain at least one non-zero value');
      if (Buffer.byteLength(JSON.stringify(metadata ?? {})) > metadataBytes) throw new BadRequest('Metadata size exceeds 40960 bytes');
    }
    return write(() => vectors.forEach((vector) => spaceOf(namespace).set(vector.id, { ...vector, values: [...Float32Array.from(vector.values)] })));
  };
  const query = (body: string): object => {
    const { namespace, topK, vector, filter, includeMetadata } = querySchema.parse(JSON.parse(body));
    const matches = [...spaceOf(namespace).values()].filter((one) => passes(one, filter)).map((one) => ({ id: one.id, score: cosine(vector, one.values), values: [], ...(includeMetadata && { metadata: one.metadata }) }));
    return { matches: matches.toSorted((a, b) => b.score - a.score).slice(0, topK), namespace, usage: { readUnits: 5 } };
  };
  const remove = (body: string): object => {
    const wanted = deleteSchema.parse(JSON.parse(body));
    return write(() => ('ids' in wanted ? wanted.ids.forEach((id) => spaceOf(wanted.namespace).delete(id)) : spaces.delete(wanted.namespace)));
  };
  const list = (url: URL): object => {
    const limit = Number(url.searchParams.get('limit') ?? 100);
    const [prefix, after] = [url.searchParams.get('prefix') ?? '', url.searchParams.get('paginationToken') ?? ''];
    const ids = [...spaceOf(url.searchParams.get('namespace') ?? '').keys()].filter((id) => id.startsWith(prefix) && id > after).toSorted();
    const page = ids.slice(0, limit);
    return { vectors: page.map((id) => ({ id })), namespace: url.searchParams.get('namespace'), ...(ids.length > limit && { pagination: { next: page.at(-1) } }), usage: { readUnits: 1 } };
  };
  const fetchIds = (url: URL): object => {
    const namespace = url.searchParams.get('namespace') ?? '';
    const ids = url.searchParams.getAll('ids');
    return { vectors: Object.fromEntries(ids.flatMap((id) => { const one = spaceOf(namespace).get(id); return one ? [[id, one]] : []; })), namespace, usage: { readUnits: 1 } };
  };
  const stats = (): object => ({ namespaces: Object.fromEntries([...spaces].map(([name, { size }]) => [name, { vectorCount: size }])), dimension, indexFullness: 0, totalVectorCount: 0, metric: 'cosine', vectorType: 'dense' });

  const routes: Record<string, (body: string, url: URL) => object> = {
    'POST /vectors/upsert': upsert, 'POST /query': query, 'POST /vectors/delete': remove, 'POST /describe_index_stats': stats,
    'GET /vectors/list': (_body, url) => list(url), 'GET /vectors/fetch': (_body, url) => fetchIds(url),
  };
  const answer = (req: IncomingMessage, body: string): { readonly status: number; readonly json: object } => {
    const url = new URL(req.url ?? '', 'http://stub');
    const route = `${req.method} ${url.pathname}`;
    seen.push(route);
    catchUp();
    if (req.headers['api-key'] !== apiKey) return { status: 401, json: { code: 16, message: 'Invalid API Key', details: [] } };
    if (state.failWith !== undefined) return { status: state.failWith, json: { code: 13, message: 'the stub fails', details: [] } };
    const handle = routes[route];
    if (handle === undefined) return { status: 404, json: { code: 5, message: `the stub does not know ${route}`, details: [] } };
    try {
      return { status: 200, json: handle(body, url) };
    } catch (error) {
      return { status: 400, json: { code: 3, message: error instanceof Error ? error.message : 'bad request', details: [] } };
    }
  };
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const route = `${req.method} ${new URL(req.url ?? '', 'http://stub').pathname}`;
      res.once('close', () => {
        if (!res.writableFinished) cancelled.push(route);
      });
      if (route === state.silentOn) {
        seen.push(route);
        return;
      }
      const { status, json } = answer(req, Buffer.concat(chunks).toString('utf8'));
      res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
    });
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const address = server.address();
  return Object.assign(state, {
    host: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`, seen, cancelled,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    },
  });
}
