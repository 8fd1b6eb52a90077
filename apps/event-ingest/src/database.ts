import type { Db } from '@millrace/database';

interface ItemsTable {
  readonly sku: string;
  readonly version: number;
  readonly category: string | null;
  readonly brand: string | null;
  readonly is_deleted: boolean;
}

export interface EventsSchema {
  'events.items': ItemsTable;
}
export type EventsDb = Db<EventsSchema>;
