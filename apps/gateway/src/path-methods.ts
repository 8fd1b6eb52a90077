import type { Operation } from '@millrace/contracts';

/** Would this operation take the path, with what stands in it as its parameters? */
function takes({ path, params }: Operation, wanted: string): boolean {
  const found = new RegExp(`^${path.replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`).exec(wanted)?.groups;
  return found !== undefined && (params === undefined || params.safeParse({ ...found }).success);
}

export interface PathMethods {
  readonly path: string;
  /** Of this very path. */
  readonly operations: readonly Operation[];
  /** What another path with parameters takes there: a product may be called as the path of an import is. */
  readonly others: readonly string[];
}

/**
 * The paths, those without parameters first, so that `/letters/replay` is no `/letters/{id}` whatever the method, but where "replay" can be an id.
 */
export function methodsOfPaths(operations: readonly Operation[]): readonly PathMethods[] {
  const isFixed = (path: string): boolean => !path.includes('{');
  const grouped = [...Map.groupBy(operations, ({ path }) => path)].map(([path, own]) => ({
    path,
    operations: own,
    others: isFixed(path) ? operations.filter((one) => !isFixed(one.path) && !own.some(({ method }) => method === one.method) && takes(one, path)).map(({ method }) => method.toUpperCase()) : [],
  }));
  return grouped.toSorted((a, b) => Number(!isFixed(a.path)) - Number(!isFixed(b.path)));
}
