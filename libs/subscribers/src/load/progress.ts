import type { DatasetName } from '../datasets.ts';

/** Steps of a load in their order; `read` is in bytes of the file, `redis` in subscribers, the others have no measure. */
export type LoadPhase = 'read' | 'index' | 'check' | 'redis' | 'switch';

export interface LoadProgress {
  /** `total` is undefined where nobody knows it. */
  step(phase: LoadPhase, what: { readonly dataset?: DatasetName; readonly done: number; readonly total: number | undefined; readonly rows?: number }): void;
}

export const noProgress: LoadProgress = { step: () => undefined };
