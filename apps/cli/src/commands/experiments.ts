import type { Client } from '@millrace/client/contract';
import { getExperiment, getExperimentResults, listExperiments } from '@millrace/contracts';
import type { Experiment, ExperimentResults } from '@millrace/contracts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

export const experimentsOf = async (client: Client): Promise<readonly Experiment[]> => (await client.call(listExperiments)).body.data;
export const experimentOf = async (client: Client, key: string): Promise<Experiment> => (await client.call(getExperiment, { params: { key } })).body;
export const resultsOf = async (client: Client, key: string): Promise<ExperimentResults> => (await client.call(getExperimentResults, { params: { key } })).body;

const columns: readonly Column<Experiment>[] = [
  { head: 'KEY', of: ({ key }) => key },
  { head: 'STATUS', of: ({ status }) => status },
  { head: 'AUDIENCE', of: ({ audience }) => percent(audience) },
  { head: 'VARIANTS', of: ({ variants }) => variants.map(({ key, weight }) => `${key} ${weight}`).join(', '), maxLength: 60 },
  { head: 'DESCRIPTION', of: ({ description }) => description, maxLength: 60 },
];
export const describeExperiments = (experiments: readonly Experiment[]): string => (experiments.length === 0 ? 'there are no experiments' : renderTable(columns, experiments));

type Variant = ExperimentResults['variants'][number];
const percent = (share: number): string => `${Number((share * 100).toFixed(2))} %`;
const points = (share: number): string => `${share > 0 ? '+' : ''}${Number((share * 100).toFixed(2))}`;
const rate = (of: Variant['conversion']): string => (of === null ? '-' : `${percent(of.value)} (${percent(of.interval.low)} to ${percent(of.interval.high)})`);
const difference = (of: Variant['conversion_difference']): string => (of === null ? '-' : `${points(of.value)} (${points(of.interval.low)} to ${points(of.interval.high)})`);
const resultColumns: readonly Column<Variant>[] = [
  { head: 'VARIANT', of: ({ key }) => key },
  { head: 'USERS', of: ({ users }) => users },
  { head: 'LISTS SEEN', of: ({ lists_seen: seen }) => seen },
  { head: 'CLICKED', of: ({ lists_clicked: clicked }) => clicked },
  { head: 'CLICK RATE', of: ({ click_rate: of }) => rate(of) },
  { head: 'POINTS', of: ({ click_rate_difference: of }) => difference(of) },
  { head: 'BUYERS', of: ({ buyers }) => buyers },
  { head: 'CONVERSION', of: ({ conversion: of }) => rate(of) },
  { head: 'POINTS', of: ({ conversion_difference: of }) => difference(of) },
];

/** The variants with 95 % intervals, then what to bear in mind. */
export const describeResults = ({ key, status, final: isFinal, variants, notes }: ExperimentResults): readonly string[] => [`${key}: ${status}, ${isFinal ? 'final' : 'not final'}`, renderTable(resultColumns, variants), ...notes];
