// For the adapters of other brokers alone: the policy of every bus, and what it asks of them.
export type { Lease, LeaseTable } from './assignment.ts';
export type { BootstrapNeed, Claim, GroupLog, Page, Taken, TakenDue } from './group-log.ts';
export type { GroupState, KeyTrace, TracedEntry, TracedState } from './admin/bus-admin.ts';
export type { Box, LetterRange, LetterStore } from './admin/dead-letters.ts';
export { LETTER_FIELDS } from './admin/dead-letters.ts';
export { GroupMissingError, LeaseLostError } from './errors.ts';
export { createEngineBus } from './engine/engine-bus.ts';
export type { BusOptions } from './bus-options.ts';
export type { EngineBus } from './engine/engine-bus.ts';
export { BusSetupError } from './engine/engine.ts';
export type { Engine, LeasesOf, LogOf, NumberedEntry, TailLog, TopicInfo, TrimLimits, Trimmed } from './engine/engine.ts';
export { BOOTSTRAP_LOCK_MS, runBootstrap } from './run-bootstrap.ts';
export type { BootstrapLock } from './run-bootstrap.ts';
