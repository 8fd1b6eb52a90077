import { LoadNotPossibleError, LoadRefusedError, defaultDropNames, toNotPossible } from '@millrace/subscribers';
import type { Stores } from '@millrace/subscribers';
import type { Config } from './config.ts';
import { FailedError } from './failed-error.ts';
import { withSubscriberStores } from './subscriber-stores.ts';
import { UsageError } from './usage-error.ts';

export { describeErased, eraseIsdns, readIsdns } from './commands/erase-subscribers.ts';
export { describeGenerations, describeLoad, generateSubscribers, loadSubscribers, rollBackSubscribers, verifySubscribers } from './commands/ut360.ts';
export { describeLoads } from './commands/ut360-loads.ts';

/** A sentence for each expected failure: what was given is wrong (2), or it cannot be done now (1). */
export async function withStores<T>(config: Config, work: (stores: Stores) => Promise<T>, options?: { readonly needsRedis: boolean }): Promise<T> {
  try {
    return await withSubscriberStores(config, work, options);
  } catch (cause) {
    const error = toNotPossible(cause);
    if (error instanceof LoadRefusedError) throw new UsageError(error.message, { cause: error });
    if (error instanceof LoadNotPossibleError) throw new FailedError(error.message, { cause: error });
    throw error;
  }
}

/** The names of a drop folder's files: as configured, else as the schedule has them. */
export const dropNames = ({ UT360_DROP_RECOMMENDATIONS: recommendations, UT360_DROP_PROFILES: profiles, UT360_DROP_ARPU: arpu }: Config): typeof defaultDropNames =>
  ({ recommendations: recommendations ?? defaultDropNames.recommendations, profiles: profiles ?? defaultDropNames.profiles, arpu: arpu ?? defaultDropNames.arpu });
