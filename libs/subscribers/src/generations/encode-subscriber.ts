import { datasets } from '../datasets.ts';
import type { Column } from '../datasets.ts';

/** Months that a profile keeps. */
export const KEPT_MONTHS = 24;

export interface EncodedSubscriber {
  readonly isdn: string;
  /** Fields and values of the hash of the recommendation; undefined where there is none. */
  readonly recommendation: readonly string[] | undefined;
  /** Fields and values of the hash of the profile. */
  readonly profile: readonly string[];
  /** What follows the ISDN in an answer: `"recommendation":…,"profile":…}`; undefined where there is only ARPU. */
  readonly body: string;
  readonly serviceType: string | undefined;
  readonly risk: string | undefined;
  readonly clusterGroup: string | undefined;
  readonly priority: string | undefined;
  readonly hasProfile: boolean;
  readonly months: number;
}

const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
const quote = (text: string): string => (PLAIN.test(text) ? `"${text}"` : JSON.stringify(text));

const UNESCAPED: Readonly<Record<string, string>> = { '\\\\': '\\', '\\t': '\t', '\\n': '\n', '\\r': '\r', '\\b': '\b', '\\f': '\f', '\\v': '\v' };
/** A cell of COPY's text format as it was. */
export const unescapeCopy = (text: string): string => (text.includes('\\') ? text.replaceAll(/\\[\\tnrbfv]/g, (found) => UNESCAPED[found] ?? found) : text);

type Cells = readonly (string | undefined)[];
const isText = ({ kind }: Column): boolean => kind === 'text' || kind === 'risk' || kind === 'date';

/** Numbers and JSON as Postgres writes them are JSON already. */
const toJson = (column: Column, cell: string | undefined): string => (cell === undefined ? 'null' : isText(column) ? quote(cell) : cell);

const recommendationColumns = datasets.recommendations.columns.slice(1);
const profileColumns = datasets.profiles.columns.slice(1);
const RECOMMENDATION_AT = 2;
const PROFILE_AT = RECOMMENDATION_AT + recommendationColumns.length + 2;
const MONTHS_AT = PROFILE_AT + profileColumns.length + 1;

/** Groups of the profile's columns: the name in the answer, and what of the column's name is left out there. */
const GROUPS: readonly (readonly [group: string, columns: readonly string[], cut: RegExp])[] = [
  ['kpi_scores', ['customer_value_score', 'advance_readiness_score'], /_score$/],
  ['arpu_stats', ['arpu_avg', 'arpu_median', 'arpu_min', 'arpu_max', 'arpu_std', 'arpu_growth_rate', 'arpu_trend'], /^arpu_/],
  ['revenue', ['revenue_call', 'revenue_sms', 'revenue_data', 'revenue_total'], /^revenue_/],
  ['topup', ['topup_count', 'topup_amount_avg', 'topup_days_between', 'topup_last_date'], /^topup_/],
  ['risk', ['bad_debt_risk', 'risk_score', 'risk_factors'], /^risk_|^bad_debt_(?=risk)/],
  ['clustering', ['cluster_group', 'cluster_name'], /^cluster_/],
];
const groups = GROUPS.map(([group, names, cut]) => ({
  group,
  columns: names.flatMap((name) => {
    const place = profileColumns.findIndex((column) => column.name === name);
    const column = profileColumns[place];
    return column === undefined ? [] : [{ place: PROFILE_AT + place, column, head: `"${name === 'bad_debt_risk' ? 'level' : name.replace(cut, '')}":` }];
  }),
}));
const INSIGHTS_AT = PROFILE_AT + profileColumns.findIndex(({ name }) => name === 'insights');
const recommendationHeads = recommendationColumns.map((column) => `"${column.name}":`);
const placeOf = (name: string): number => RECOMMENDATION_AT + recommendationColumns.findIndex((column) => column.name === name);
const [SERVICE_AT, RISK_AT, CLUSTER_AT, PRIORITY_AT, ADVANCE_AT] = ['service_type', 'bad_debt_risk', 'cluster_group', 'priority_score', 'advance_amount'].map(placeOf);

const monthNumber = (date: string): number => Number(date.slice(0, 4)) * 12 + Number(date.slice(5, 7)) - 1;
const monthName = (month: number): string => `${Math.floor(month / 12)}-${String((month % 12) + 1).padStart(2, '0')}`;

const KINDS = ['call', 'sms', 'data', 'total'] as const;

interface MonthRow { readonly month: number; readonly values: readonly string[] }

function readMonths(text: string): MonthRow[] {
  return text.split(';').map((row) => {
    const [date = '', ...values] = row.split(',');
    return { month: monthNumber(date), values };
  });
}

/** `2026-01-01,call,sms,data,total;…` to one list a kind, from the oldest month on; a month or a value that is missing is null. */
export function encodeMonths(text: string | undefined): { readonly json: string; readonly months: number } {
  if (text === undefined || text === '') return { json: 'null', months: 0 };
  const rows = readMonths(text);
  let isSorted = true;
  for (let at = 1; at < rows.length; at += 1) isSorted &&= (rows[at]?.month ?? 0) > (rows[at - 1]?.month ?? 0);
  // As the files have them, nearly always.
  if (!isSorted) rows.sort((a, b) => a.month - b.month);
  const last = rows.at(-1)?.month ?? 0;
  const first = Math.max(rows[0]?.month ?? 0, last - KEPT_MONTHS + 1);
  let [call, sms, data, total] = ['', '', '', ''];
  let next = first;
  for (const { month, values } of rows) {
    if (month < first) continue;
    for (; next < month; next += 1) [call, sms, data, total] = [`${call}null,`, `${sms}null,`, `${data}null,`, `${total}null,`];
    call += `${values[0] || 'null'},`;
    sms += `${values[1] || 'null'},`;
    data += `${values[2] || 'null'},`;
    total += `${values[3] || 'null'},`;
    next = month + 1;
  }
  const lists = [call, sms, data, total].map((list, at) => `"${KINDS[at] ?? ''}":[${list.slice(0, -1)}]`);
  return { json: `{"from":"${monthName(first)}",${lists.join(',')}}`, months: rows.length };
}

function profileJson(cells: Cells, groupTexts: readonly string[]): string {
  const extra = cells[MONTHS_AT - 1];
  return `{${groups.map(({ group }, at) => `"${group}":${groupTexts[at] ?? 'null'}`).join(',')},"insights":${cells[INSIGHTS_AT] ?? 'null'}${extra === undefined ? '' : `,"extra":${extra}`}}`;
}

function recommendationParts(cells: Cells): { readonly json: string; readonly fields: string[] } {
  const fields: string[] = [];
  let json = '{';
  for (const [at, column] of recommendationColumns.entries()) {
    const cell = cells[RECOMMENDATION_AT + at];
    json += `${recommendationHeads[at] ?? ''}${toJson(column, cell)},`;
    if (cell !== undefined) fields.push(column.name, cell);
  }
  const extra = cells[PROFILE_AT - 2];
  if (extra !== undefined) fields.push('extra', extra);
  return { json: extra === undefined ? `${json.slice(0, -1)}}` : `${json}"extra":${extra}}`, fields };
}

/** The cells of a line of COPY's text format. */
export const cellsOf = (line: string): (string | undefined)[] => line.split('\t').map((cell) => (cell === '\\N' ? undefined : unescapeCopy(cell)));

/**
 * One row of `subscriberQuery` as Redis gets it. Pure text work: numbers are never read as numbers, so that they stay what the file said.
 */
export function encodeSubscriber(cells: Cells): EncodedSubscriber {
  const isdn = cells[0] ?? '';
  const hasRecommendation = cells[1] === '1';
  const hasProfile = cells[PROFILE_AT - 1] === '1';
  const recommendation = hasRecommendation ? recommendationParts(cells) : undefined;
  const groupTexts = hasProfile ? groups.map(({ columns }) => `{${columns.map(({ place, column, head }) => head + toJson(column, cells[place])).join(',')}}`) : [];
  const months = encodeMonths(cells[MONTHS_AT]);
  const service = cells[SERVICE_AT ?? 0];
  const profile = ['basic', `{"isdn":${quote(isdn)},"service":${service === undefined ? 'null' : quote(service)},"advance":${cells[ADVANCE_AT ?? 0] ?? 'null'}}`];
  if (months.months > 0) profile.push('monthly_arpu', months.json);
  for (const [at, { group }] of groups.entries()) if (groupTexts[at] !== undefined) profile.push(group, groupTexts[at]);
  if (hasProfile && cells[INSIGHTS_AT] !== undefined) profile.push('insights', cells[INSIGHTS_AT]);
  return {
    isdn, profile, recommendation: recommendation?.fields, hasProfile, months: months.months,
    body: `"recommendation":${recommendation?.json ?? 'null'},"profile":${hasProfile ? profileJson(cells, groupTexts) : 'null'}}`,
    serviceType: service, risk: cells[RISK_AT ?? 0], clusterGroup: cells[CLUSTER_AT ?? 0], priority: cells[PRIORITY_AT ?? 0],
  };
}

export interface SubscriberQuery {
  readonly recommendations: string;
  readonly profiles: string;
  readonly arpu: string;
  /** The newest month of ARPU (2026-10); null: there is none. Looking for it would read the whole table. */
  readonly lastMonth: string | null;
}

/** The first of the months that are kept. */
const firstMonth = (last: string | null): string => (last === null ? '2000-01-01' : `${monthName(monthNumber(last) - KEPT_MONTHS + 1)}-01`);

/** Everything about each subscriber of a triple of tables, one row each, in no order; of those of `isdns` (an SQL expression of text[]) alone. */
export function subscriberQuery({ recommendations, profiles, arpu, lastMonth }: SubscriberQuery, isdns?: string): string {
  const only = isdns === undefined ? '' : `where isdn = any(${isdns})`;
  const list = (alias: string, columns: readonly Column[]): string => columns.map(({ name }) => `${alias}.${name}`).join(', ');
  const value = (name: string): string => `coalesce(${name}::text, '')`;
  return `select coalesce(r.isdn, p.isdn, a.isdn), case when r.isdn is null then 0 else 1 end, ${list('r', recommendationColumns)}, r.extra,
    case when p.isdn is null then 0 else 1 end, ${list('p', profileColumns)}, p.extra, a.months
  from (select * from ${recommendations} ${only}) r
  full join (select * from ${profiles} ${only}) p on p.isdn = r.isdn
  full join (
    select isdn, string_agg(data_month || ',' || ${['arpu_call', 'arpu_sms', 'arpu_data', 'arpu_total'].map(value).join(" || ',' || ")}, ';') as months
    from ${arpu} where data_month >= date '${firstMonth(lastMonth)}' ${only.replace('where', 'and')} group by isdn
  ) a on a.isdn = coalesce(r.isdn, p.isdn)`;
}
