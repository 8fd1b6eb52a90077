import { FailedError } from './failed-error.ts';
import { UsageError } from './usage-error.ts';

/** Which ones: some by their ids, or all that a filter matches. */
export type Choice<F> = { readonly ids: string[] } | { readonly filter: F };

export interface ChooseOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  /** Discard what was not named one by one. */
  readonly yes?: boolean;
}

/** Of one request that names them. */
const MAX_IDS = 1_000;

/** Exactly one of ids, filters (`filter` has no undefined fields; `flags` names its options) and --all, else UsageError: nothing is chosen by leaving something out. */
export function choose<F extends object>(ids: readonly string[], filter: F, { all, flags }: { readonly all: boolean | undefined; readonly flags: string }): Choice<F> {
  const ways = [ids.length > 0, Object.keys(filter).length > 0, all === true].filter(Boolean).length;
  if (ways === 0) throw new UsageError(`say which ones: ids, a filter (${flags}), or --all`);
  if (ways > 1) throw new UsageError('say ids, or a filter, or --all: only one of them');
  return ids.length > 0 ? { ids: [...ids] } : { filter };
}

/** The requests that it takes. */
export const requestsOf = <F>(choice: Choice<F>): readonly Choice<F>[] =>
  'filter' in choice ? [choice] : Array.from({ length: Math.ceil(choice.ids.length / MAX_IDS) }, (_, n) => ({ ids: choice.ids.slice(n * MAX_IDS, (n + 1) * MAX_IDS) }));

export interface Change<F> {
  readonly action: 'replay' | 'discard';
  readonly choice: Choice<F>;
  /** Such as `3 events`. */
  readonly name: (count: number) => string;
  readonly send: (request: Choice<F> & { readonly dry_run: boolean }) => Promise<{ readonly body: { readonly count: number; readonly missing: readonly string[] } }>;
}

/**
 * Does it and returns one line about it. Discarding by filter needs --yes, else it tells how many it would be (UsageError).
 * FailedError where a named one is not there (any more); the others are done then.
 */
export async function changeChosen<F>({ action, choice, name, send }: Change<F>, { dryRun = false, yes = false }: ChooseOptions): Promise<string> {
  const change = async (isDryRun: boolean): Promise<{ count: number; missing: string[] }> => {
    const sum = { count: 0, missing: [] as string[] };
    for (const one of requestsOf(choice)) {
      const { body } = await send({ ...one, dry_run: isDryRun });
      sum.count += body.count;
      sum.missing.push(...body.missing);
    }
    return sum;
  };
  if (action === 'discard' && 'filter' in choice && !dryRun && !yes) {
    const { count } = await change(true);
    if (count > 0) throw new UsageError(`this would discard ${name(count)} for good: add --yes to do it`);
  }
  const { count, missing } = await change(dryRun);
  const done = `${dryRun ? `dry run: would ${action}` : `${action}ed`} ${name(count)}`;
  if (missing.length > 0) throw new FailedError(`${done}; not there (any more): ${missing.join(', ')}`);
  return done;
}
