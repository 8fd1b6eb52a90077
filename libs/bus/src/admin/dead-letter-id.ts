import { BusAdminError } from './bus-admin.ts';
import type { PartitionName } from '../redis/layout.ts';

/** Where a dead letter is. */
export interface DeadLetterPlace {
  readonly topic: string;
  readonly partition: PartitionName;
  readonly group: string;
  readonly entryId: string;
}

const SHAPE = /^(?<topic>[^~]+)~(?<partition>bare|\d{1,6})~(?<group>[^~]+)~(?<entryId>\d+-\d+)$/;

export const formatDeadLetterId = ({ topic, partition, group, entryId }: DeadLetterPlace): string => [topic, partition, group, entryId].join('~');

/** @throws BusAdminError invalid */
export function parseDeadLetterId(id: string): DeadLetterPlace {
  const { topic, partition, group, entryId } = SHAPE.exec(id)?.groups ?? {};
  if (topic === undefined || group === undefined || entryId === undefined) throw new BusAdminError('invalid', 'an id of a dead letter has the form topic~partition~group~entry, as listings show it');
  return { topic, partition: partition === 'bare' ? 'bare' : Number(partition), group, entryId };
}
