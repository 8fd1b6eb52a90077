import type { EventPublisher, EventSubscriber } from '@millrace/bus';
import { openResponseCache } from '@millrace/cache';
import type { OpenResponseCache } from '@millrace/cache';
import type { Logger } from '@millrace/service';
import type { Registry } from 'prom-client';
import type { Config } from '../config.ts';
import { createCachedSearches } from './cached-searches.ts';
import type { CachedSearches } from './cached-searches.ts';
import { followUpdates } from './follow-updates.ts';

export interface OpenCacheDeps {
  readonly config: Config;
  readonly bus: EventSubscriber & EventPublisher;
  readonly logger: Logger;
  readonly metrics: Registry;
  readonly onClose: (close: () => Promise<void>) => void;
}

const NAME = 'gateway:cache';

/** The response cache, following the bus; undefined where CACHE_ENABLED is false. Opens without any Redis. */
export async function openCache({ config, bus, logger, metrics, onClose }: OpenCacheDeps): Promise<{ readonly cache: OpenResponseCache; readonly searches: CachedSearches } | undefined> {
  if (!config.CACHE_ENABLED) return undefined;
  const cache = openResponseCache({
    url: config.CACHE_REDIS_URL, name: NAME, registry: metrics, logger,
    timeoutMs: config.CACHE_TIMEOUT_MS, nearBytes: config.CACHE_NEAR_BYTES, nearMs: config.CACHE_NEAR_MS,
  });
  onClose(() => cache.close());
  const searches = createCachedSearches({ bus, logger, metrics });
  onClose(() => searches.close());
  await followUpdates(bus, cache);
  return { cache, searches };
}
