import type { IncomingMessage } from 'node:http';
import type { NextFunction, Request, Response } from 'express';

/** One operation that is answered in front of express. */
export interface FrontRoute {
  /** As express names it, which is how the metrics do. */
  readonly path: string;
  readonly params: Record<string, string>;
  /** What the handler of the same operation behind express does; what it throws is answered as there. */
  readonly handle: FrontHandler;
}
export type FrontHandler = (req: Request, res: Response, next: NextFunction) => Promise<void>;

/**
 * Finds the operation of a plain request without express, whose middleware and list of routes cost more than most answers; undefined: express is to do it, as it
 * does with everything that has something special about it. Middleware of the app does not see what is answered here, so what that sets is set by `prepare`.
 */
export interface Front {
  find(req: IncomingMessage): FrontRoute | undefined;
  prepare(res: Response): void;
}

export interface FrontOperation {
  /** OpenAPI form. */
  readonly path: string;
  /** undefined: express answers it. It is named all the same: another one may stand behind it. */
  readonly handle: FrontHandler | undefined;
}

interface Pattern extends FrontOperation {
  readonly template: string;
  /** A text that must be there, or the name of a parameter. */
  readonly parts: readonly (string | { readonly name: string })[];
}

const PARAMETER = /^\{(\w+)\}$/;
/** Printable ASCII: whatever else stands in an address is express' to understand. */
const PLAIN = /^\/[!-"$-~]*$/;

const toPattern = ({ path, handle }: FrontOperation): Pattern => ({
  path, handle, template: path.replaceAll(/\{(\w+)\}/g, ':$1'),
  parts: path.split('/').slice(1).map((part) => { const name = PARAMETER.exec(part)?.[1]; return name === undefined ? part : { name }; }),
});

/** Decoded; undefined where express would refuse it, or where a parameter would be empty. */
function decoded(part: string): string | undefined {
  if (!part.includes('%')) return part === '' ? undefined : part;
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** The parameters, or undefined: this is another path. */
function match(parts: Pattern['parts'], segments: readonly string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  for (const [at, part] of parts.entries()) {
    const segment = segments[at] ?? '';
    if (typeof part === 'string') {
      if (part !== segment) return undefined;
    } else {
      const value = decoded(segment);
      if (value === undefined) return undefined;
      params[part.name] = value;
    }
  }
  return params;
}

const nameOf = (segments: readonly string[]): string => `${segments.length} ${segments[0] ?? ''}/${segments[1] ?? ''}`;
const isFixed = (part: Pattern['parts'][number]): part is string => typeof part === 'string';
const mayBe = (part: Pattern['parts'][number] | undefined, segment: string | undefined): boolean => part === undefined || !isFixed(part) || part === segment;

/** By the number of segments and the first two of them, each list in its order. `others`: where a parameter is among these two, by the number. */
function group(patterns: readonly Pattern[]): { readonly named: ReadonlyMap<string, readonly Pattern[]>; readonly others: ReadonlyMap<number, readonly Pattern[]> } {
  const fixed = patterns.filter(({ parts }) => parts.slice(0, 2).every(isFixed));
  const named = fixed.map((one) => {
    const segments = one.parts.map((part) => (isFixed(part) ? part : ''));
    return [nameOf(segments), patterns.filter(({ parts }) => parts.length === segments.length && mayBe(parts[0], segments[0]) && mayBe(parts[1], segments[1]))] as const;
  });
  return { named: new Map(named), others: Map.groupBy(patterns.filter((pattern) => !fixed.includes(pattern)), ({ parts }) => parts.length) };
}

/** The operation of an address: the same one that express finds among the same operations. undefined: none, or an address that is better left to express. */
export function createPathFinder(operations: readonly FrontOperation[]): (url: string) => FrontRoute | undefined {
  const { named, others } = group(operations.map(toPattern));
  return (url) => {
    if (!PLAIN.test(url) || url.startsWith('//')) return undefined;
    const end = url.indexOf('?');
    const segments = (end < 0 ? url : url.slice(0, end)).split('/');
    segments.shift();
    for (const { template, parts, handle } of named.get(nameOf(segments)) ?? others.get(segments.length) ?? []) {
      const params = match(parts, segments);
      if (params) return handle && { path: template, params, handle };
    }
    return undefined;
  };
}
