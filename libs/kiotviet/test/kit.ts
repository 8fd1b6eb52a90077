import { randomBytes } from 'node:crypto';
import { startPosStub } from '@millrace/pos-stub';
import type { PosStub, PosStubOptions } from '@millrace/pos-stub';
import { createLogger } from '@millrace/service';
import { startRedisServer } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { openKiotviet } from '../src/index.ts';
import type { KiotvietSettings, OpenKiotviet } from '../src/index.ts';

export interface Instance extends OpenKiotviet {
  readonly events: string[];
  readonly tokenEvents: string[];
  readonly logs: string[];
}

export interface Bench {
  readonly redis: RedisServer;
  readonly stub: PosStub;
  readonly settings: KiotvietSettings;
  instance(changes?: Partial<KiotvietSettings>): Instance;
  close(): Promise<void>;
}

export const newSealKey = (id: string): { readonly id: string; readonly key: Buffer } => ({ id, key: randomBytes(32) });

/** A stub, a Redis of its own, and instances of the client on them. */
export async function startBench(options: PosStubOptions = {}): Promise<Bench> {
  const [redis, stub] = await Promise.all([startRedisServer(), startPosStub(options)]);
  const closing: (() => unknown)[] = [() => redis.stop(), () => stub.close()];
  const settings: KiotvietSettings = {
    baseUrl: stub.url, tokenUrl: stub.tokenUrl, ...stub.credentials, sealKeys: [newSealKey('k1')], hourlyLimit: 5_000, timeoutMs: 10_000, maxBytes: 1_048_576,
    redisUrl: redis.url, cacheRedisUrl: redis.url, youngMs: 0, halfOpenMs: 200,
  };
  return {
    redis, stub, settings,
    instance(changes = {}) {
      const [events, tokenEvents, logs]: [string[], string[], string[]] = [[], [], []];
      const opened = openKiotviet({ ...settings, ...changes }, {
        logger: createLogger('test', 'trace', { write: (line) => void logs.push(line) }), onClose: (step) => void closing.push(step),
        onEvent: (endpoint, outcome) => void events.push(`${endpoint} ${outcome}`), onToken: (event) => void tokenEvents.push(event),
      });
      return { ...opened, events, tokenEvents, logs };
    },
    async close() {
      for (const step of closing.toReversed()) await step();
    },
  };
}
