import { asText } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { inSlices, toScriptArguments } from './count-changes.ts';
import type { Change } from './count-changes.ts';
import { FIRST_GENERATION, HOLD, partitionKeys } from './count-keys.ts';
import type { CountKeys, PartitionKeys } from './count-keys.ts';
import { addToBuilding, beginBuilding, giveUpBuilding, renewBuilding, swapGeneration } from './count-script.ts';

/** Another builder has begun, this one stood still for too long, or too many events came meanwhile. */
export class BuildLostError extends Error {
  override readonly name = 'BuildLostError';
}

/** The generation of one partition that is being built. Every write is refused once it is lost. */
export interface Building {
  readonly partition: number;
  readonly live: CountKeys;
  readonly target: CountKeys;
  readonly keys: PartitionKeys;
  write(changes: readonly Change[]): Promise<void>;
  /** Tells that its builder lives; nothing after the swap. */
  renew(): Promise<void>;
  /** Counting waits until the swap, two seconds at most. */
  hold(): Promise<void>;
  /** false: something has come meanwhile. */
  swap(done: { readonly tail: number; readonly userChanges: number }): Promise<boolean>;
  giveUp(): Promise<void>;
}

/** A builder that dies is noticed after this long. */
const TTL_MS = 30_000;
const HOLD_MS = 2_000;

/** From now on the applier keeps the events of this partition for the new generation. */
export async function beginBuild(redis: Redis, keys: Keys, { partition, generation }: { readonly partition: number; readonly generation: string }): Promise<Building> {
  const of = partitionKeys(keys, partition);
  await beginBuilding(redis, [of.building, of.tail, of.userChanges, of.generations], [generation, Date.now(), TTL_MS]);
  const live = (await redis.get(of.generation)) ?? FIRST_GENERATION;
  const checked = async (reply: Promise<unknown>): Promise<string> => {
    const text = asText(await reply);
    if (text === 'lost') throw new BuildLostError('the new counts were given up: another rebuild has begun, this one stood still, or too many events came meanwhile');
    return text;
  };
  let isSwapped = false;
  return {
    partition, keys: of, live: of.of(live), target: of.of(generation),
    write: async (changes) => {
      for (const slice of inSlices(changes)) {
        const { keys: changed, args } = toScriptArguments(slice);
        await checked(addToBuilding(redis, [of.building, ...changed], [generation, ...args]));
      }
    },
    renew: async () => {
      if (!isSwapped) await checked(renewBuilding(redis, [of.building], [generation, TTL_MS, '']));
    },
    hold: async () => void (await checked(renewBuilding(redis, [of.building], [generation, HOLD_MS, HOLD]))),
    swap: async ({ tail, userChanges }) => {
      isSwapped = (await checked(swapGeneration(redis, [of.generation, of.building, of.tail, of.userChanges, of.generations], [generation, live, Date.now(), tail, userChanges]))) === 'ok';
      return isSwapped;
    },
    giveUp: async () => void (await giveUpBuilding(redis, [of.building, of.tail, of.userChanges], [generation])),
  };
}
