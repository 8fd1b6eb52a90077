export { createOutboxTables } from './tables.ts';
export { createRelay } from './relay.ts';
export type { Relay, RelayOptions } from './relay.ts';
export { createOutboxWaker, outboxChannel } from './waker.ts';
export type { OutboxWaker } from './waker.ts';
export { createInboxTable, forgetHandledEvents, onceByEventId } from './inbox.ts';
export type { InboxOptions } from './inbox.ts';
