import type { Column } from '../datasets.ts';
import { monthsOf, withGaps } from './months.ts';
import { ARPU, ARPU_KINDS, KIND_AT, PROFILE, RECOMMENDATION, places, profileColumns, recommendationColumns } from './subscriber-rows.ts';

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
export const unescapeCopy = (text: string): string => text.replaceAll(/\\[\\tnrbfv]/g, (found) => UNESCAPED[found] ?? found);

/** A cell without a value. In a COPY it is nothing else: there a backspace of the data is written as two characters. */
export const NULL_CELL = '\b';
type Cells = readonly string[];
const valueOf = (cells: Cells, place: number): string | undefined => {
  const cell = cells[place];
  return cell === NULL_CELL ? undefined : cell;
};

/** What `subscriberQuery` has of one subscriber. */
export interface SubscriberRows {
  readonly isdn: string;
  recommendation?: Cells;
  profile?: Cells;
  arpu?: Cells;
}

interface Slot {
  readonly name: string;
  /** The beginning of the member of an object. */
  readonly head: string;
  readonly place: number;
  /** Numbers and JSON as Postgres writes them are JSON already. */
  readonly isText: boolean;
}

const slotOf = ({ name, kind }: Column, place: number, shown = name): Slot => ({ name, head: `"${shown}":`, place, isText: kind === 'text' || kind === 'risk' || kind === 'date' });
const placed = (columns: readonly Column[], at: readonly number[]): Slot[] => columns.map((column, index) => slotOf(column, at[index] ?? 0));

function jsonOf({ place, isText }: Slot, cells: Cells): string {
  const cell = cells[place];
  return cell === undefined || cell === NULL_CELL ? 'null' : isText ? quote(cell) : cell;
}

function objectOf(slots: readonly Slot[], cells: Cells): string {
  let json = '';
  for (const slot of slots) json += `${json === '' ? '{' : ','}${slot.head}${jsonOf(slot, cells)}`;
  return `${json}}`;
}

const recommendationSlots = placed(recommendationColumns, places.recommendation);
const profileSlots = placed(profileColumns, places.profile);
const placeOf = (slots: readonly Slot[], name: string): number => slots.find((slot) => slot.name === name)?.place ?? 0;

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
  group, head: `"${group}":`,
  slots: names.flatMap((name) => profileSlots.filter((slot) => slot.name === name).map((slot) => ({ ...slot, head: `"${name === 'bad_debt_risk' ? 'level' : name.replace(cut, '')}":` }))),
}));
const INSIGHTS_AT = placeOf(profileSlots, 'insights');
const PROFILE_EXTRA_AT = placeOf(profileSlots, 'extra');
const RECOMMENDATION_EXTRA_AT = placeOf(recommendationSlots, 'extra');
const [SERVICE_AT, RISK_AT, CLUSTER_AT, PRIORITY_AT, ADVANCE_AT] = ['service_type', 'bad_debt_risk', 'cluster_group', 'priority_score', 'advance_amount'].map((name) => placeOf(recommendationSlots, name));
const namedSlots = recommendationSlots.filter(({ name }) => name !== 'extra');

/** One list a kind, from the oldest month on; a month or a value that is missing is null. */
function encodeMonths(cells: Cells, last: string): { readonly json: string; readonly count: number } {
  const months = monthsOf(cells[places.mask] ?? '0', last);
  let json = `{"from":"${months.from}"`;
  for (const [at, kind] of ARPU_KINDS.entries()) json += `,"${kind}":[${withGaps(cells[places.lists[at] ?? 0] ?? '', months)}]`;
  return { json: `${json}}`, count: months.count };
}

function fieldsOf(slots: readonly Slot[], cells: Cells): string[] {
  const fields: string[] = [];
  for (const { name, place } of slots) {
    const cell = valueOf(cells, place);
    if (cell !== undefined) fields.push(name, cell);
  }
  return fields;
}

/** `{"a":1}` and what the file had besides. */
const withExtra = (json: string, extra: string | undefined): string => (extra === undefined ? json : `${json.slice(0, -1)},"extra":${extra}}`);

function addProfile(fields: string[], cells: Cells): string {
  let json = '{';
  for (const { group, head, slots } of groups) {
    const text = objectOf(slots, cells);
    fields.push(group, text);
    json += `${head}${text},`;
  }
  const insights = valueOf(cells, INSIGHTS_AT);
  if (insights !== undefined) fields.push('insights', insights);
  return withExtra(`${json}"insights":${insights ?? 'null'}}`, valueOf(cells, PROFILE_EXTRA_AT));
}

/**
 * A subscriber as Redis gets it. Pure text work: numbers are never read as numbers, so that they stay what the file said. Characters may as well be
 * the bytes of UTF-8: nothing outside ASCII is looked at.
 */
export function encodeSubscriber({ isdn, recommendation, profile, arpu }: SubscriberRows, lastMonth: string | null): EncodedSubscriber {
  const own = (place: number | undefined): string | undefined => (recommendation === undefined || place === undefined ? undefined : valueOf(recommendation, place));
  const service = own(SERVICE_AT);
  const fields = ['basic', `{"isdn":${quote(isdn)},"service":${service === undefined ? 'null' : quote(service)},"advance":${own(ADVANCE_AT) ?? 'null'}}`];
  const months = arpu === undefined ? undefined : encodeMonths(arpu, lastMonth ?? '2000-01');
  if (months !== undefined) fields.push('monthly_arpu', months.json);
  const profileJson = profile === undefined ? 'null' : addProfile(fields, profile);
  const recommendationJson = recommendation === undefined ? 'null' : withExtra(objectOf(namedSlots, recommendation), valueOf(recommendation, RECOMMENDATION_EXTRA_AT));
  return {
    isdn, profile: fields, recommendation: recommendation && fieldsOf(recommendationSlots, recommendation), hasProfile: profile !== undefined, months: months?.count ?? 0,
    body: `"recommendation":${recommendationJson},"profile":${profileJson}}`,
    serviceType: service, risk: own(RISK_AT), clusterGroup: own(CLUSTER_AT), priority: own(PRIORITY_AT),
  };
}

/** The cells of a line of COPY's text format. Few lines have anything to unescape. */
export function cellsOf(line: string): string[] {
  const cells = line.split('\t');
  return line.includes('\\') ? cells.map(unescapeCopy) : cells;
}

/** Puts rows that are ordered by ISDN together. Returns the subscriber before, as soon as one of another begins. */
export function createGrouping(): { add(cells: Cells): SubscriberRows | undefined; end(): SubscriberRows | undefined } {
  let current: SubscriberRows | undefined;
  return {
    add(cells) {
      const isdn = cells[0] ?? '';
      const before = current?.isdn === isdn ? undefined : current;
      if (current === undefined || current.isdn !== isdn) current = { isdn };
      const kind = cells[KIND_AT];
      if (kind === RECOMMENDATION) current.recommendation = cells;
      else if (kind === PROFILE) current.profile = cells;
      else if (kind === ARPU) current.arpu = cells;
      return before;
    },
    end: () => current,
  };
}
