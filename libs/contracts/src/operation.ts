import type { z } from 'zod';

/** What a key must be allowed to do. Only the gateway's own pages need no key. */
export const scopes = ['products:read', 'products:write', 'search:read', 'events:write', 'events:read', 'analytics:read', 'users:erase', 'ut360:read', 'ut360:write', 'pii:read', 'pos:read', 'pos:write', 'sessions', 'plans', 'admin', 'ops'] as const;
export type Scope = (typeof scopes)[number];

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** One HTTP operation: the gateway's route table, the services' routes, the SDK and the OpenAPI document are made from it. */
export interface Operation {
  readonly operationId: string;
  readonly method: Method;
  /** OpenAPI form: /api/products/{sku} */
  readonly path: string;
  readonly service: string;
  readonly scope: Scope;
  readonly summary: string;
  readonly description?: string;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  readonly body?: z.ZodType;
  /** Longest body that is not streamed, bytes; default 1 MiB. */
  readonly bodyBytes?: number;
  /** Where the body is streamed instead of parsed: its media types. */
  readonly streams?: readonly string[];
  readonly responses: Readonly<Record<number, { readonly description: string; readonly schema?: z.ZodType; readonly example?: unknown; readonly mediaType?: string; /** As text. */ readonly otherMediaTypes?: readonly string[] }>>;
  readonly bodyExample?: unknown;
  /** Privileged calls are written to the gateway's append-only audit log. */
  readonly audited?: boolean;
  /** The path names a shopper: the audit log gets the template instead, because it is kept for ever. */
  readonly isPersonal?: boolean;
  /** The answer never ends by itself: it is passed on part by part, for as long as both sides are there. */
  readonly isFeed?: boolean;
  /** The answer is long and ends by itself: it is passed on part by part, however long that takes, as long as there is none of `timeoutMs` without a part. */
  readonly isDownload?: boolean;
  /** Browsers may call it, with a publishable key; text/plain counts as JSON then, because that needs no preflight. */
  readonly isPublishable?: boolean;
  /** Needs no key: the body is signed, and the service checks that. The call has the one scope of the operation. */
  readonly isSigned?: boolean;
  /** The answer holds a secret that is shown this once: no cache and no store of replies keeps it. */
  readonly holdsSecret?: boolean;
  /** What it makes or changes outlives the call: a token that a gateway handed on for a minute does not suffice for it. */
  readonly notDelegable?: boolean;
  /** Longest time the gateway waits for an answer's head; default 10 s. */
  readonly timeoutMs?: number;
}

/** Keeps the literal types of an operation. */
export const defineOperation = <const O extends Operation>(operation: O): O => operation;
