import type { Client } from '@millrace/client/contract';
import { getTrace } from '@millrace/contracts';
import type { TraceBody } from '@millrace/contracts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';

export const trace = async (client: Client, sku: string): Promise<TraceBody> => (await client.call(getTrace, { params: { sku } })).body;

interface Row {
  readonly entry: NonNullable<TraceBody['bus']['found']>['streams'][number]['entries'][number];
  readonly group: { readonly group: string; readonly state: string; readonly consumer: string | null };
}
const columns: readonly Column<Row>[] = [
  { head: 'ENTRY', of: ({ entry }) => entry.id },
  { head: 'EVENT', of: ({ entry }) => entry.event_type },
  { head: 'VERSION', of: ({ entry }) => entry.version ?? '-' },
  { head: 'COMMITTED', of: ({ entry }) => entry.timestamp },
  { head: 'GROUP', of: ({ group }) => group.group },
  { head: 'STATE', of: ({ group }) => group.state },
  { head: 'CONSUMER', of: ({ group }) => group.consumer ?? '-' },
];
const nobody = { group: '-', state: '-', consumer: null };

/** The findings, then the entries of the bus. */
export function describeTrace({ findings, bus }: TraceBody): readonly string[] {
  const rows = (bus.found?.streams ?? []).flatMap(({ entries }) => entries).flatMap((entry): Row[] => (entry.groups.length === 0 ? [{ entry, group: nobody }] : entry.groups.map((group) => ({ entry, group }))));
  const onBus = bus.error ?? (rows.length === 0 ? 'nothing of it is on the bus any more' : renderTable(columns, rows));
  return [...findings, onBus];
}
