import type { Client } from '@millrace/client/contract';
import { dropGroup, listStreams, repartitionTopic } from '@millrace/contracts';
import type { TopicStateBody } from '@millrace/contracts';
import { formatAge, renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';

export const readStreams = async (client: Client): Promise<readonly TopicStateBody[]> => (await client.call(listStreams)).body.topics;

type Stream = TopicStateBody['streams'][number];
interface Row {
  readonly topic: string;
  readonly stream: Stream;
  readonly group: Stream['groups'][number] | undefined;
}

const columns: readonly Column<Row>[] = [
  { head: 'TOPIC', of: ({ topic }) => topic },
  { head: 'PARTITION', of: ({ stream }) => `${stream.partition}${stream.is_draining ? ' (draining)' : ''}` },
  { head: 'LENGTH', of: ({ stream }) => stream.length },
  { head: 'GROUP', of: ({ group }) => group?.group ?? '-' },
  { head: 'UNREAD', of: ({ group }) => group?.unread ?? 0 },
  { head: 'PENDING', of: ({ group }) => group?.pending ?? 0 },
  { head: 'DELAYED', of: ({ group }) => group?.delayed ?? 0 },
  { head: 'DEAD', of: ({ group }) => group?.dead_letters ?? 0 },
  { head: 'OLDEST', of: ({ group }) => formatAge(group?.oldest_age_ms ?? 0) },
  { head: 'CONSUMERS', of: ({ group }) => group?.consumers.length ?? 0 },
  { head: 'HOLDER', of: ({ group }) => group?.holder ?? '-' },
];

/** One line a group of each partition; one for a partition without groups. */
export const describeStreams = (topics: readonly TopicStateBody[]): string =>
  renderTable(columns, topics.flatMap(({ topic, streams }) => streams.flatMap((stream): Row[] => (stream.groups.length === 0 ? [{ topic, stream, group: undefined }] : stream.groups.map((group) => ({ topic, stream, group }))))));

export interface DropOptions {
  readonly topic?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

/** One line for each topic that had the group. */
export async function dropStreamGroup(client: Client, group: string, { topic, force = false, dryRun = false }: DropOptions): Promise<readonly string[]> {
  const { dropped } = (await client.call(dropGroup, { params: { group }, query: { topic, force, dry_run: dryRun } })).body;
  return dropped.map((one) => `${dryRun ? 'dry run: would drop' : 'dropped'} ${one.group} of ${one.topic}: ${one.unread} unread, ${one.pending} pending`);
}

export async function repartitionStream(client: Client, topic: string, text: string): Promise<string> {
  const partitions = Number(text);
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > 256) throw new UsageError(`${text} is no number of partitions: use a whole number from 1 to 256`);
  const { body } = await client.call(repartitionTopic, { params: { topic }, body: { partitions } });
  const draining = body.streams.filter(({ is_draining: isDraining }) => isDraining).length;
  return `${body.topic} has ${body.partitions} ${body.partitions === 1 ? 'partition' : 'partitions'}${draining === 0 ? '' : `; ${draining} old ${draining === 1 ? 'one is' : 'ones are'} being finished first`}`;
}
