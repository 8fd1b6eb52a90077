import { keysFor } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { Config } from '../config.ts';
import { createSessionStore } from './session-store.ts';
import type { SessionStore } from './session-store.ts';

/** `redis`: of the role `request`. Needs no Redis to start. */
export const openSessions = (config: Config, redis: Redis): SessionStore => createSessionStore({ redis, keys: keysFor(config.REDIS_URL), ttlMs: config.SESSION_TTL_SECONDS * 1_000 });
