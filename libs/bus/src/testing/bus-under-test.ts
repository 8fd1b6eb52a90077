import type { EventBus } from '../bus.ts';
import type { Topic } from '../topic.ts';

export interface BusFeatures {
  /** Events outlive the bus: another bus on the same broker finds them. */
  readonly durable: boolean;
  /** `full` for the suite's own sizes, smaller ones else. */
  readonly scale: 'small' | 'full';
}

/** What an engine declares to the contract of owners and operators. */
export interface ManagedFeatures {
  /** The broker's address, where it can be reached through a tunnel: for consumers that are cut off. */
  readonly server?: string;
}

/** A bus and what a test has to see of it. Short waits, please: claimIdleMs and leaseMs about 2,000 (longer than a process of a loaded machine stands still), retryBaseMs about 5 unless the test says otherwise, 5 deliveries. */
export interface BusUnderTest {
  readonly bus: EventBus;
  readonly unacknowledged: (topic: Topic, group: string) => Promise<number>;
  /** Reasons of the group's dead letters, oldest first. */
  readonly deadLetters: (topic: Topic, group: string) => Promise<readonly string[]>;
}

export interface OpenOptions {
  readonly retryBaseMs?: number;
  readonly claimIdleMs?: number;
  readonly leaseMs?: number;
}
export type Open = (options?: OpenOptions) => Promise<BusUnderTest>;
/** The size at TEST_SCALE=full, and the small one. */
export type Scaled = (full: number, small: number) => number;
