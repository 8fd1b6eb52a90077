import { createRandom } from './random.ts';
import type { Random } from './random.ts';

export interface SampleMonth {
  /** 2026-01-01 */
  readonly data_month: string;
  readonly arpu_call: number;
  readonly arpu_sms: number;
  readonly arpu_data: number;
  readonly arpu_total: number;
}

export interface SampleSubscriber {
  readonly isdn: string;
  readonly recommendation: Readonly<Record<string, string | number | null>>;
  readonly profile: Readonly<Record<string, string | number | null>>;
  /** From the oldest month on; months without a bill are not there. */
  readonly months: readonly SampleMonth[];
}

export interface SampleOptions {
  readonly count: number;
  /** Default 1: the same subscribers every time. */
  readonly seed?: number;
  /** The newest month, as a year and a month of it: 2026-10. */
  readonly lastMonth?: string;
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PREFIXES = ['32', '33', '36', '38', '56', '70', '77', '79', '81', '83', '86', '89', '90', '91', '93', '96', '98'];

/**
 * The quartiles of published monthly ARPU of prepaid subscribers (93, 198, 371) are those of a lognormal with median 198 and a sigma of
 * ln(371 / 93) / (2 * 0.67449), which is 1.026; the persistence from month to month, 0.7 on logs, splits that into a part that belongs to
 * the subscriber and one that follows its own past.
 */
const MEDIAN = Math.log(198);
const SIGMA = 1.026;
const PERSISTENCE = 0.7;
const OWN_SHARE = 0.5;

const money = (value: number): number => Math.round(value * 100) / 100;
const between = (low: number, value: number, high: number): number => Math.min(high, Math.max(low, value));
const score = (value: number): number => Math.round(between(0, value, 100) * 10) / 10;

/** Every other one is an opaque token of 44 characters, as of a hash in base64. */
function isdnOf(index: number, random: Random): string {
  if (index % 2 === 0) return `84${PREFIXES[(index / 2) % PREFIXES.length] ?? '90'}${String(index).padStart(7, '0').slice(-7)}`;
  // The last characters are the number itself, so that no two are the same.
  const unique = Array.from({ length: 5 }, (_none, at) => ALPHABET[Math.floor(index / 64 ** at) % 64]).join('');
  return `${Array.from({ length: 38 }, () => ALPHABET[Math.floor(random.next() * 64)]).join('')}${unique}=`;
}

function monthsBefore(last: string, ago: number): string {
  const at = Number(last.slice(0, 4)) * 12 + Number(last.slice(5, 7)) - 1 - ago;
  return `${Math.floor(at / 12)}-${String((at % 12) + 1).padStart(2, '0')}-01`;
}

/** Two to twelve months, seven on average; some zeros, few negatives (refunds), a long tail. */
function monthsOf(random: Random, last: string): { readonly months: SampleMonth[]; readonly dataShare: number } {
  const own = random.normal() * Math.sqrt(OWN_SHARE);
  const dataShare = between(0.05, 0.45 + 0.25 * random.normal(), 0.95);
  const smsShare = (1 - dataShare) * 0.2 * random.next();
  const count = 2 + Math.floor(random.next() * 11);
  const months: SampleMonth[] = [];
  // Of the deviation that is not the subscriber's own: what is left of 0.7 when the own part, which never changes, is taken out.
  const rest = (PERSISTENCE - OWN_SHARE) / (1 - OWN_SHARE);
  let moving = random.normal();
  for (let ago = count - 1; ago >= 0; ago -= 1) {
    moving = rest * moving + Math.sqrt(1 - rest * rest) * random.normal();
    const usual = Math.exp(MEDIAN + SIGMA * (own + Math.sqrt(1 - OWN_SHARE) * moving));
    const luck = random.next();
    if (luck < 0.015 && ago > 0) continue;
    const total = money(luck < 0.04 ? 0 : luck < 0.042 ? -usual / 10 : usual);
    const [data, sms] = [money(total * dataShare), money(total * smsShare)];
    months.push({ data_month: monthsBefore(last, ago), arpu_call: money(total - data - sms), arpu_sms: sms, arpu_data: data, arpu_total: total });
  }
  return { months, dataShare };
}

interface Facts {
  readonly average: number;
  readonly growth: number;
  readonly trend: string;
  readonly risk: 'LOW' | 'MEDIUM' | 'HIGH';
  readonly riskScore: number;
  readonly value: number;
  readonly readiness: number;
  readonly service: string;
  readonly type: string;
  readonly group: number;
  readonly advance: number;
}

/** Risk falls and value grows with ARPU; whoever uses much data is offered data. */
function factsOf(random: Random, totals: readonly number[], dataShare: number): Facts {
  const average = totals.reduce((sum, total) => sum + total, 0) / Math.max(1, totals.length);
  const recent = totals.slice(-3);
  const older = totals.slice(0, -3);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const growth = older.length === 0 || mean(older) <= 0 ? 0 : between(-1, mean(recent) / mean(older) - 1, 5);
  const rank = (Math.log(Math.max(1, average)) - MEDIAN) / SIGMA;
  const riskScore = score(45 - 14 * rank + 14 * random.normal());
  const value = score(50 + 22 * rank + 8 * random.normal());
  return {
    average, growth, riskScore, value, readiness: score(0.5 * value + 0.5 * (100 - riskScore) + 7 * random.normal()),
    trend: growth > 0.1 ? 'UP' : growth < -0.1 ? 'DOWN' : 'STABLE', risk: riskScore < 40 ? 'LOW' : riskScore < 62 ? 'MEDIUM' : 'HIGH',
    service: dataShare > 0.6 ? 'DATA_ADVANCE' : dataShare > 0.35 ? (random.next() < 0.5 ? 'COMBO_ADVANCE' : 'AIRTIME_ADVANCE') : dataShare > 0.2 ? 'AIRTIME_ADVANCE' : 'VOICE_ADVANCE',
    type: random.next() < 0.9 ? 'PREPAID' : 'POSTPAID', group: Math.floor(between(0, 3.5 + 1.5 * rank, 7)), advance: Math.max(10, Math.round(average / 20) * 10),
  };
}

const GROUP_NAMES = ['dormant', 'light', 'occasional', 'regular', 'steady', 'heavy', 'valuable', 'premium'];

function profileOf(random: Random, facts: Facts, months: readonly SampleMonth[]): SampleSubscriber['profile'] {
  const totals = months.map(({ arpu_total: total }) => total).toSorted((a, b) => a - b);
  const sum = (of: (month: SampleMonth) => number): number => money(months.reduce((all, month) => all + of(month), 0));
  const spread = Math.sqrt(totals.reduce((all, total) => all + (total - facts.average) ** 2, 0) / Math.max(1, totals.length));
  const topups = Math.max(0, Math.round(months.length * (1 + 2 * random.next())));
  const factors = [...(facts.growth < -0.1 ? ['falling_arpu'] : []), ...(totals.includes(0) ? ['months_without_use'] : []), ...(facts.riskScore >= 62 ? ['few_topups'] : [])];
  const strengths = [...(facts.value >= 70 ? ['high value'] : []), ...(facts.risk === 'LOW' ? ['reliable'] : []), ...(facts.growth > 0.1 ? ['growing'] : [])];
  return {
    arpu_avg: money(facts.average), arpu_median: totals[Math.floor(totals.length / 2)] ?? 0, arpu_min: totals[0] ?? 0, arpu_max: totals.at(-1) ?? 0, arpu_std: money(spread), arpu_growth_rate: Number(facts.growth.toFixed(4)), arpu_trend: facts.trend,
    revenue_call: sum((month) => month.arpu_call), revenue_sms: sum((month) => month.arpu_sms), revenue_data: sum((month) => month.arpu_data), revenue_total: sum((month) => month.arpu_total),
    topup_count: topups, topup_amount_avg: topups === 0 ? null : money(Math.max(0, facts.average) * (0.5 + random.next())), topup_days_between: topups === 0 ? null : Number(((months.length * 30) / topups).toFixed(1)),
    topup_last_date: topups === 0 ? null : `${months.at(-1)?.data_month.slice(0, 8) ?? '2026-01-'}${String(1 + Math.floor(random.next() * 28)).padStart(2, '0')}`,
    bad_debt_risk: facts.risk, risk_score: facts.riskScore, risk_factors: JSON.stringify(factors), customer_value_score: facts.value, advance_readiness_score: facts.readiness,
    cluster_group: String(facts.group), cluster_name: GROUP_NAMES[facts.group] ?? 'regular', insights: JSON.stringify({ strengths, recommendations: [facts.readiness >= 70 ? 'offer an advance now' : 'wait for the next top-up'] }),
  };
}

/** One subscriber, the same for the same number, seed and month. */
export function sampleSubscriber(index: number, { seed = 1, lastMonth = '2026-10' }: Omit<SampleOptions, 'count'> = {}): SampleSubscriber {
  const random = createRandom(seed, index);
  const isdn = isdnOf(index, random);
  const { months, dataShare } = monthsOf(random, lastMonth);
  const facts = factsOf(random, months.map(({ arpu_total: total }) => total), dataShare);
  return {
    isdn, months, profile: profileOf(random, facts, months),
    recommendation: {
      subscriber_type: facts.type, service_type: facts.service, advance_amount: facts.advance, revenue_per_advance: money(facts.advance * 0.1 * (1 - facts.riskScore / 200)), cluster_group: String(facts.group), bad_debt_risk: facts.risk,
      arpu_avg_6m: money(months.slice(-6).reduce((sum, { arpu_total: total }) => sum + total, 0) / Math.max(1, Math.min(6, months.length))), arpu_growth_rate: Number(facts.growth.toFixed(4)), arpu_trend: facts.trend,
      customer_value_score: facts.value, advance_readiness_score: facts.readiness, priority_score: score(0.6 * facts.readiness + 0.4 * facts.value),
    },
  };
}

/** Deterministic subscribers, one at a time. */
export function* sampleSubscribers({ count, ...options }: SampleOptions): Generator<SampleSubscriber> {
  for (let index = 0; index < count; index += 1) yield sampleSubscriber(index, options);
}
