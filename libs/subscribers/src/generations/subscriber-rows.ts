import { datasets } from '../datasets.ts';
import type { Column, ColumnKind } from '../datasets.ts';
import { KEPT_MONTHS, monthName, monthNumber } from './months.ts';

/** Everything comes as rows of one shape, by ISDN: cells of the three datasets share the columns of their types. */
const TYPES = ['numeric', 'text', 'bigint', 'date', 'jsonb'] as const;
type SlotType = (typeof TYPES)[number];
const TYPE_OF: Readonly<Record<ColumnKind, SlotType>> = { isdn: 'text', text: 'text', risk: 'text', number: 'numeric', count: 'bigint', month: 'date', date: 'date', json: 'jsonb' };

interface Part {
  readonly expression: string;
  readonly type: SlotType;
}

const extra: Column = { name: 'extra', kind: 'json' };
/** Columns of a dataset without its ISDN; what the file had besides comes last. */
export const recommendationColumns: readonly Column[] = [...datasets.recommendations.columns.slice(1), extra];
export const profileColumns: readonly Column[] = [...datasets.profiles.columns.slice(1), extra];
/** Names of the lists of months, in the order of their places. */
export const ARPU_KINDS = ['call', 'sms', 'data', 'total'] as const;

const partOf = ({ name, kind }: Column): Part => ({ expression: name, type: TYPE_OF[kind] });
/** Bit n is set where there is a row of the month n before the last. Days are counted: (d + 15) / 30 is right for up to 24 months. */
const monthMask = (last: string): Part => ({ expression: `bit_or(1::bigint << ((date '${last}-01' - data_month + 15) / 30))`, type: 'bigint' });
const monthLists: readonly Part[] = ARPU_KINDS.map((kind) => ({ expression: `string_agg(coalesce(arpu_${kind}::text, 'null'), ',' order by data_month)`, type: 'text' }));

const sizeOf = (parts: readonly Part[], type: SlotType): number => parts.filter((part) => part.type === type).length;
const partLists = [recommendationColumns.map(partOf), profileColumns.map(partOf), [monthMask(''), ...monthLists]];
const sizes = TYPES.map((type) => ({ type, size: Math.max(...partLists.map((parts) => sizeOf(parts, type))) }));
/** ISDN and kind come first. */
const FIRST = 2;

/** Where each part is in a row. */
function placesOf(parts: readonly Part[]): number[] {
  return parts.map(({ type }, at) => {
    const before = sizes.slice(0, sizes.findIndex((slot) => slot.type === type)).reduce((sum, { size }) => sum + size, FIRST);
    return before + sizeOf(parts.slice(0, at), type);
  });
}

export const KIND_AT = 1;
export const RECOMMENDATION = '1';
export const PROFILE = '2';
export const ARPU = '3';
const [recommendationPlaces = [], profilePlaces = [], [maskPlace = 0, ...listPlaces] = []] = partLists.map(placesOf);
/** Places of the columns of `recommendationColumns` and `profileColumns`, of the mask of months and of the lists. */
export const places = { recommendation: recommendationPlaces, profile: profilePlaces, mask: maskPlace, lists: listPlaces };

function rowOf(kind: string, parts: readonly Part[]): string {
  const cells = sizes.flatMap(({ type, size }) => {
    const own = parts.filter((part) => part.type === type).map(({ expression }) => expression);
    return Array.from({ length: size }, (_none, at) => own[at] ?? `null::${type}`);
  });
  return ['isdn', kind, ...cells].join(', ');
}

export interface SubscriberTables {
  readonly recommendations: string;
  readonly profiles: string;
  readonly arpu: string;
  /** The newest month of ARPU (2026-10); null: there is none. Looking for it would read the whole table. */
  readonly lastMonth: string | null;
}

/**
 * What is known of each subscriber of a triple of tables, ordered by ISDN: one row for each dataset that has it. Of those of `isdns` (an SQL
 * expression of text[]) alone. With sorting switched off (`STREAMED`) the first rows come at once, by way of the primary keys.
 */
export function subscriberQuery({ recommendations, profiles, arpu, lastMonth }: SubscriberTables, isdns?: string): string {
  const only = isdns === undefined ? '' : ` where isdn = any(${isdns})`;
  const last = lastMonth ?? '2000-01';
  const first = monthName(monthNumber(last) - KEPT_MONTHS + 1);
  return `select ${rowOf(RECOMMENDATION, recommendationColumns.map(partOf))} from ${recommendations}${only}
  union all select ${rowOf(PROFILE, profileColumns.map(partOf))} from ${profiles}${only}
  union all select ${rowOf(ARPU, [monthMask(last), ...monthLists])} from ${arpu} where data_month between date '${first}-01' and date '${last}-01'${only.replace('where', 'and')} group by isdn
  order by 1`;
}

/** Settings of a session that reads everything: rows flow at once, and on one core, while others encode and write them. */
export const STREAMED = 'set statement_timeout = 0; set enable_sort = off; set enable_incremental_sort = off; set enable_hashagg = off; set max_parallel_workers_per_gather = 0; set jit = off';
