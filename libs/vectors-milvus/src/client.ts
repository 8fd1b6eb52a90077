import { InvalidVectorError, VectorsUnavailableError } from '@millrace/vectors';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { z } from 'zod';

export interface MilvusIndexOptions {
  /** Neighbours of a vector in the graph, and candidates that are looked at where one is added. Defaults 16 and 200. */
  readonly m: number;
  readonly efConstruction: number;
  /** Shards of a new collection: how many nodes take its writes. Default 1. https://milvus.io/docs/create-collection.md */
  readonly shards: number;
  /** Copies of the loaded collection in memory, each on query nodes of its own: how many nodes share the searches. Default 1. https://milvus.io/docs/replica.md */
  readonly replicas: number;
}

export interface MilvusOptions {
  /** `host:port` of the gRPC interface, with `https://` before it for TLS. Milvus 2.6. */
  readonly address: string;
  /** `user:password`, or an API key. */
  readonly token?: string;
  /** Name that readers search by: letters, digits and `_`. The physical collections are `<alias>_<number>`. */
  readonly alias: string;
  /** Redis of the lease of the one writer. For administrators. */
  readonly lockUrl?: string;
  /** Candidates that a search looks at: more find more, and take longer. Default 100. */
  readonly efRuntime?: number;
  readonly index?: Partial<MilvusIndexOptions>;
  /** `Strong`: a write is seen at once. `Bounded`: up to 5 s later, and searches do not wait for the write log. Readers only; default Strong. */
  readonly consistency?: 'Strong' | 'Bounded';
  /** After which a call fails with VectorsUnavailableError. */
  readonly timeoutMs?: number;
}

export const defaultIndex: MilvusIndexOptions = { m: 16, efConstruction: 200, shards: 1, replicas: 1 };

/** Connects when it is used: an address where nobody is fails at the first call, not here. */
export function connectMilvus({ address, token, timeoutMs }: MilvusOptions, defaultTimeoutMs: number): MilvusClient {
  return new MilvusClient({
    address,
    ...(token !== undefined && { token }),
    timeout: timeoutMs ?? defaultTimeoutMs,
    maxRetries: 1,
    retryDelay: 50,
    // Servers end connections that ping more often than they allow; the SDK's own interval is 10 s.
    channelOptions: { 'grpc.keepalive_time_ms': 60_000 },
    // It would write to the console; what matters is in what is thrown.
    logLevel: 'silent',
    // The constructor's own greeting ends the process as an unhandled rejection where the server is away.
    __SKIP_CONNECT__: true,
  });
}

const statusSchema = z.looseObject({ error_code: z.union([z.string(), z.number()]), reason: z.string().default(''), code: z.number().default(0) });
type Status = z.output<typeof statusSchema>;

/** The SDK resolves with refusals: this makes an error of one. */
export class MilvusRefusedError extends Error {
  override readonly name = 'MilvusRefusedError';
  readonly status: Status;
  constructor(status: Status) {
    super(status.reason || String(status.error_code));
    this.status = status;
  }
}

/** Throws MilvusRefusedError unless the answer, or its `status`, says that all is well. */
export function ensure<T>(answer: T): T {
  const status = statusIn(answer);
  if (status !== undefined && status.error_code !== 'Success') throw new MilvusRefusedError(status);
  return answer;
}

function statusIn(answer: unknown): Status | undefined {
  const nested = z.looseObject({ status: statusSchema }).safeParse(answer);
  return nested.success ? nested.data.status : statusSchema.safeParse(answer).data;
}

/** 100: no such collection; 1600: no such alias (https://github.com/milvus-io/milvus/blob/master/pkg/util/merr/errors.go). */
const missingCodes = new Set([100, 1600]);

/** Did Milvus say that there is no such collection or alias? */
export function isMissing(error: unknown): boolean {
  const found = error instanceof MilvusRefusedError ? error : error instanceof Error ? error.cause : undefined;
  return found instanceof MilvusRefusedError && (missingCodes.has(found.status.code) || /CollectionNot|AliasNot/.test(String(found.status.error_code)));
}

/** gRPC's codes, https://grpc.io/docs/guides/status-codes/ */
const codeOf = (error: unknown): number | undefined => (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'number' ? error.code : undefined);

function sentenceFor(error: unknown): string {
  const code = codeOf(error);
  const isLogin = code === 16 || code === 7 || (error instanceof MilvusRefusedError && (error.status.code === 1800 || /auth/i.test(error.message)));
  if (isLogin) return 'Milvus refused the login: look at MILVUS_TOKEN';
  if (code === 4) return 'Milvus did not answer in time';
  if (code === 14) return 'Milvus cannot be reached: look at MILVUS_ADDRESS and whether it runs';
  return `Milvus did not do it: ${error instanceof Error ? error.message : (statusIn(error)?.reason ?? 'no reason was given')}`;
}

/** Runs a call: what it throws is a class of ours, with Milvus' own error as cause. */
export async function asking<T>(call: () => Promise<T>): Promise<T> {
  try {
    return ensure(await call());
  } catch (error) {
    if (error instanceof VectorsUnavailableError || error instanceof InvalidVectorError || error instanceof RangeError) throw error;
    // Some of its calls throw the refusing answer itself.
    const status = error instanceof Error ? undefined : statusIn(error);
    const cause = status === undefined ? error : new MilvusRefusedError(status);
    if (isMissing(cause)) throw new VectorsUnavailableError('there is no such vector collection', { cause });
    throw new VectorsUnavailableError(sentenceFor(cause), { cause });
  }
}
