import type { Experiment } from '@millrace/contracts';
import type { ColumnType, Generated } from 'kysely';

/** As Postgres writes it, in UTC. */
type Time = ColumnType<string, Date, Date>;
type OptionalTime = ColumnType<string | null, Date | null | undefined, Date | null>;

export interface ExperimentTables {
  'recs.experiments': {
    readonly key: string;
    readonly description: string;
    readonly status: Generated<Experiment['status']>;
    readonly variants: ColumnType<Experiment['variants'], string, string>;
    readonly audience: number;
    readonly conversion_days: number;
    readonly starts_at: OptionalTime;
    readonly ends_at: OptionalTime;
    readonly created_at: ColumnType<string, never, never>;
    readonly started_at: OptionalTime;
    readonly stopped_at: OptionalTime;
  };
  'recs.experiment_state': { readonly only_row: boolean; readonly revision: ColumnType<number, never, never> };
  'recs.experiment_lists': { readonly experiment: string; readonly ranking_id: string; readonly user_id: string; readonly variant: string; readonly served_at: Time; readonly seen: Generated<boolean> };
  'recs.experiment_events': { readonly event_id: string; readonly month: string; readonly user_id: string; readonly kind: 'click' | 'purchase'; readonly ranking_id: string | null; readonly happened_at: Time };
}
