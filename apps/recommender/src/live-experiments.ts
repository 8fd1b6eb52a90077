import type { Experiment, ExperimentSettings } from '@millrace/contracts';
import type { Logger } from '@millrace/service';
import { variantOf } from './bucket.ts';

export interface Assigned {
  readonly experiments: readonly { readonly key: string; readonly variant: string }[];
  /** Of all of them together; running experiments turn different knobs. */
  readonly settings: ExperimentSettings;
}

export interface LiveExperiments {
  /** The variants of a user now; nobody's: none. */
  assign(userId: string | undefined): Assigned;
  /** Is a click of now of use to some experiment? */
  readonly areClicksCounted: () => boolean;
  /** Is a purchase of this user of use to some experiment? */
  isPurchaseCounted(userId: string): boolean;
  /** Resolves when what was committed before the call is in force here. false: it could not be read, and the last known stays. Never rejects. */
  refresh(): Promise<boolean>;
  close(): Promise<void>;
}

export interface LiveExperimentsDeps {
  readonly readRevision: () => Promise<number>;
  readonly readAll: () => Promise<readonly Experiment[]>;
  readonly now: () => number;
  readonly logger: Logger;
  /** How often Postgres is asked for the revision. */
  readonly pollMs?: number;
}

const POLL_MS = 500;
const DAY_MS = 86_400_000;
/** Of somebody who takes part in nothing. */
export const NOBODY: Assigned = { experiments: [], settings: {} };

const timeOf = (text: string | null, otherwise: number): number => (text === null ? otherwise : Date.parse(text));

/** Do its users see their variants? */
const isShown = ({ status, starts_at: starts, ends_at: ends }: Experiment, nowMs: number): boolean =>
  status === 'running' && nowMs >= timeOf(starts, Number.NEGATIVE_INFINITY) && nowMs < timeOf(ends, Number.POSITIVE_INFINITY);

/** When the last of its users' time for a purchase is over; undefined: nobody knows yet. */
export function countedUntil({ status, ends_at: ends, stopped_at: stopped, conversion_days: days }: Experiment): number | undefined {
  if (status === 'draft') return Number.NEGATIVE_INFINITY;
  const end = Math.min(timeOf(ends, Number.POSITIVE_INFINITY), timeOf(stopped, Number.POSITIVE_INFINITY));
  return Number.isFinite(end) ? end + days * DAY_MS : undefined;
}

/** Running experiments in the memory of this instance. Lists never wait for them and never fail because of them: while Postgres is away the last known stay. */
export async function openLiveExperiments({ readRevision, readAll, now, logger, pollMs = POLL_MS }: LiveExperimentsDeps): Promise<LiveExperiments> {
  let known: { readonly revision: number; readonly all: readonly Experiment[] } = { revision: -1, all: [] };
  let isFailing = false;
  const load = async (): Promise<boolean> => {
    try {
      const revision = await readRevision();
      // Read after the revision: it may be newer than that says, and is read again then.
      if (revision !== known.revision) known = { revision, all: await readAll() };
      isFailing = false;
    } catch (error) {
      if (!isFailing) logger.warn({ err: error }, 'experiments cannot be read: the last known stay in force');
      isFailing = true;
    }
    return !isFailing;
  };
  const refresh = oneAfterTheOther(load);
  await refresh();
  const timer = setInterval(() => void refresh(), pollMs);
  const counted = (): readonly Experiment[] => known.all.filter((experiment) => (countedUntil(experiment) ?? Number.POSITIVE_INFINITY) > now());
  return {
    assign: (userId) => {
      const shown = userId === undefined ? [] : known.all.filter((experiment) => isShown(experiment, now()));
      if (userId === undefined || shown.length === 0) return NOBODY;
      const variants = shown.flatMap((experiment) => {
        const variant = variantOf(experiment, userId);
        return variant ? [{ key: experiment.key, variant }] : [];
      });
      return { experiments: variants.map(({ key, variant }) => ({ key, variant: variant.key })), settings: Object.assign({}, ...variants.map(({ variant }) => variant.settings)) };
    },
    areClicksCounted: () => counted().length > 0,
    isPurchaseCounted: (userId) => counted().some((experiment) => variantOf(experiment, userId) !== undefined),
    refresh,
    close: async () => {
      clearInterval(timer);
      await refresh();
    },
  };
}

/** A call during a run may have come after its reading: it waits for one more run, which all such calls share. */
function oneAfterTheOther(run: () => Promise<boolean>): () => Promise<boolean> {
  let last = Promise.resolve(true);
  let waiting: Promise<boolean> | undefined;
  const start = (): Promise<boolean> => {
    waiting = undefined;
    return run();
  };
  return () => (waiting ??= last = last.then(start));
}
