export const datasetNames = ['recommendations', 'profiles', 'arpu'] as const;
export type DatasetName = (typeof datasetNames)[number];

/** How a cell is read and stored. `month` is the first day of a month; `risk` is LOW, MEDIUM or HIGH. */
export type ColumnKind = 'isdn' | 'text' | 'number' | 'count' | 'risk' | 'month' | 'date' | 'json';

export interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
  /** A row without it is bad. */
  readonly isRequired?: boolean;
  /** Of text; default 65,536. What has an index, or is asked for by a path, is short. */
  readonly maxCharacters?: number;
  /** Other headers that mean it, normalised. */
  readonly aliases?: readonly string[];
}

export interface Dataset {
  readonly name: DatasetName;
  /** The name under which the live generation is seen (a view); the tables are `<table>_<generation>`. */
  readonly table: string;
  readonly key: readonly string[];
  readonly columns: readonly Column[];
  /** Columns that the dataset does not know go to the JSONB column `extra`; else they are left out. */
  readonly keepsExtra: boolean;
  readonly indexes: readonly string[];
}

/** Characters of what is asked for by a path. */
const LABEL = 200;
const isdn: Column = { name: 'isdn', kind: 'isdn', isRequired: true, aliases: ['msisdn', 'phone_number', 'subscriber_isdn'] };
const numbers = (...names: string[]): Column[] => names.map((name) => ({ name, kind: 'number' }));

const recommendations: Dataset = {
  name: 'recommendations', table: 'recommendations', key: ['isdn'], keepsExtra: true, indexes: ['service_type', 'bad_debt_risk', 'cluster_group', 'priority_score'],
  columns: [
    isdn,
    { name: 'subscriber_type', kind: 'text' },
    { name: 'service_type', kind: 'text', isRequired: true, maxCharacters: LABEL },
    ...numbers('advance_amount', 'revenue_per_advance'),
    { name: 'cluster_group', kind: 'text', maxCharacters: LABEL },
    { name: 'bad_debt_risk', kind: 'risk', isRequired: true },
    ...numbers('arpu_avg_6m', 'arpu_growth_rate'),
    { name: 'arpu_trend', kind: 'text' },
    ...numbers('customer_value_score', 'advance_readiness_score', 'priority_score'),
  ],
};

const profiles: Dataset = {
  name: 'profiles', table: 'subscriber_360_profiles', key: ['isdn'], keepsExtra: true, indexes: [],
  columns: [
    isdn,
    ...numbers('arpu_avg', 'arpu_median', 'arpu_min', 'arpu_max', 'arpu_std', 'arpu_growth_rate'),
    { name: 'arpu_trend', kind: 'text' },
    ...numbers('revenue_call', 'revenue_sms', 'revenue_data', 'revenue_total'),
    { name: 'topup_count', kind: 'count' },
    ...numbers('topup_amount_avg', 'topup_days_between'),
    { name: 'topup_last_date', kind: 'date' },
    { name: 'bad_debt_risk', kind: 'risk' },
    { name: 'risk_score', kind: 'number' },
    { name: 'risk_factors', kind: 'json' },
    ...numbers('customer_value_score', 'advance_readiness_score'),
    { name: 'cluster_group', kind: 'text', maxCharacters: LABEL },
    { name: 'cluster_name', kind: 'text' },
    { name: 'insights', kind: 'json' },
  ],
};

const arpu: Dataset = {
  name: 'arpu', table: 'subscriber_monthly_arpu', key: ['isdn', 'data_month'], keepsExtra: false, indexes: [],
  columns: [isdn, { name: 'data_month', kind: 'month', isRequired: true, aliases: ['month', 'year_month'] }, ...numbers('arpu_call', 'arpu_sms', 'arpu_data', 'arpu_total')],
};

export const datasets: Readonly<Record<DatasetName, Dataset>> = { recommendations, profiles, arpu };

/** The table of one generation. */
export const tableOf = (dataset: DatasetName, generation: number): string => `${datasets[dataset].table}_${generation}`;

/** Columns in the order of COPY; `extra` last. */
export const copyColumns = ({ columns, keepsExtra }: Dataset): readonly string[] => [...columns.map(({ name }) => name), ...(keepsExtra ? ['extra'] : [])];

const SQL_TYPES: Readonly<Record<ColumnKind, string>> = { isdn: 'text', text: 'text', number: 'numeric', count: 'bigint', risk: 'text', month: 'date', date: 'date', json: 'jsonb' };

/** Column definitions of a table of this dataset. Names compare by bytes: a token is no word of any language. */
export function columnDefinitions({ columns, keepsExtra }: Dataset): string {
  const lines = columns.map(({ name, kind, isRequired = false }) => `${name} ${SQL_TYPES[kind]}${kind === 'isdn' ? ' collate "C"' : ''}${isRequired ? ' not null' : ''}`);
  return [...lines, ...(keepsExtra ? ['extra jsonb'] : [])].join(', ');
}
