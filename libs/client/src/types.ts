import type { FetchResponse, MaybeOptionalInit, ParseAs } from 'openapi-fetch';
import type { components, paths } from './generated/openapi.ts';

/** Every named schema of the API: `Schemas['Product']`. */
export type Schemas = components['schemas'];

type Media = `${string}/${string}`;

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** The paths that have this method. */
export type PathOf<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, object> ? P : never }[keyof paths];

/** What openapi-fetch takes for an operation: `params`, `body`, `headers`, `signal`, and how the body is read. */
type InitOf<P extends keyof paths, M extends Method, As extends ParseAs = 'json'> = MaybeOptionalInit<paths[P], Extract<M, keyof paths[P]>> & { readonly parseAs?: As };

/** The second argument may be left out where nothing in it is required. */
type Given<P extends keyof paths, M extends Method, As extends ParseAs = 'json'> = undefined extends MaybeOptionalInit<paths[P], Extract<M, keyof paths[P]>> ? [init?: InitOf<P, M, As>] : [init: InitOf<P, M, As>];

type ResponsesOf<O> = O extends { readonly responses: infer R } ? R : never;
type NotModified<O> = 304 extends keyof ResponsesOf<O> ? undefined : never;
type DataOf<O, As extends ParseAs> = O extends Record<string | number, unknown> ? Extract<FetchResponse<O, { parseAs: As }, Media>, { readonly error?: never }>['data'] | NotModified<O> : never;

export interface Answer<T> {
  /** The parsed body; undefined for an answer without one (204, 304). */
  readonly data: T;
  /** Status and headers, such as the ETag. Its body has been read, except with `parseAs: 'stream'`. */
  readonly response: Response;
}

/** Calls one operation of the document by its path. Throws ProblemError, TransportError, or the reason of an aborted signal. */
export type Call<M extends Method> = <P extends PathOf<M>, As extends ParseAs = 'json'>(path: P, ...init: Given<P, M, As>) => Promise<Answer<DataOf<paths[P][Extract<M, keyof paths[P]>], As>>>;

type OkBody<P extends PathOf<'get'>> = paths[P] extends { readonly get: { readonly responses: { readonly 200: { readonly content: { readonly 'application/json': infer B } } } } } ? B : never;

/** The paths whose answers are pages: `data`, and `page.next` as the next one's cursor. */
export type PagedPath = { [P in PathOf<'get'>]: OkBody<P> extends { readonly data: readonly unknown[]; readonly page: { readonly next: string | null } } ? P : never }[PathOf<'get'>];

export type ItemOf<P extends PagedPath> = OkBody<P> extends { readonly data: readonly (infer Item)[] } ? Item : never;

/** All items of all pages, from `query.cursor` on; the next page is read when it is needed. */
export type Each = <P extends PagedPath>(path: P, ...init: Given<P, 'get'>) => AsyncGenerator<ItemOf<P>, void, undefined>;

/** One line of an import's answer: progress and errors while it runs, and the report as the last. */
export type ImportLine = paths['/api/products/import']['post']['responses'][200]['content']['application/x-ndjson'];

export interface ImportOptions {
  readonly contentType: 'application/x-ndjson' | 'text/csv';
  readonly query?: NonNullable<paths['/api/products/import']['post']['parameters']['query']>;
  readonly signal?: AbortSignal;
}
