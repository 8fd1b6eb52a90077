import type { EventSubscriber } from '@millrace/bus';
import { connectRedis } from '@millrace/redis-kit';
import { within } from '@millrace/service';
import type { ServiceContext } from '@millrace/service';
import { createAuthenticateKey } from '../authenticate-key.ts';
import type { Kysely } from 'kysely';
import type { Config } from '../config.ts';
import type { GatewaySchema } from '../database.ts';
import { findKeyOwner, findKeyOwnerById } from '../key.repository.ts';
import { identifyCaller } from '../publishable.ts';
import type { Authenticators } from '../publishable.ts';
import { openAuthenticateDelegated } from './delegation.ts';
import { followKeyChanges, startKeyRelay } from './follow-key-changes.ts';
import type { KeyRelayDeps } from './follow-key-changes.ts';
import { createKeyUsage } from './key-usage.ts';
import { createOpenFeeds } from './open-feeds.ts';
import type { OpenFeeds } from './open-feeds.ts';
import { openTokens } from './open-tokens.ts';

export interface OpenCallersDeps extends Pick<ServiceContext<Config>, 'config' | 'logger' | 'onClose'> {
  readonly db: Kysely<GatewaySchema>;
  readonly events: EventSubscriber;
  readonly relay: Pick<KeyRelayDeps, 'keys' | 'partitions' | 'metrics' | 'durable'>;
}

/** Longest wait for the owner of a key that is not remembered. */
const LOOKUP_MS = 2_000;

const inTime = <T>(lookup: Promise<T>): Promise<T> => within(LOOKUP_MS, lookup, () => new Error(`Postgres did not answer within ${LOOKUP_MS} ms`));

/** Who calls: keys and tokens, how both are forgotten when they change, and the feeds that end then. Needs no Redis to start. */
export async function openCallers({ config, logger, onClose, db, events, relay }: OpenCallersDeps): Promise<{ readonly authenticators: Authenticators; readonly feeds: OpenFeeds; readonly isKnownKey: (key: string) => boolean }> {
  const databaseUrl = config.GATEWAY_DATABASE_URL;
  startKeyRelay({ ...relay, logger, onClose, databaseUrl, directUrl: config.DATABASE_DIRECT_URL ?? databaseUrl, connect: () => connectRedis(config.REDIS_URL, { role: 'background', name: 'gateway:relay' }) });
  const usage = createKeyUsage(db, logger);
  onClose(() => usage.close());
  const isProduction = config.NODE_ENV === 'production';
  const authenticate = createAuthenticateKey({ findKeyOwner: (hash) => inTime(findKeyOwner(db, hash)), isProduction, onUsed: (id) => usage.used(id) });
  const authenticateDelegated = await openAuthenticateDelegated({ jwksFile: config.INTERNAL_JWKS_FILE, findKeyOwnerById: (id) => inTime(findKeyOwnerById(db, id)), isProduction, onUsed: (id) => usage.used(id) });
  const authenticators = { authenticate, authenticateToken: await openTokens({ config, logger, onClose }), authenticateDelegated };
  const feeds = createOpenFeeds({ identify: (req, operation) => identifyCaller(req, operation, authenticators), logger });
  onClose(() => feeds.close());
  followKeyChanges(events, [authenticate, authenticateDelegated, feeds], logger);
  return { authenticators, feeds, isKnownKey: (key) => authenticate.isKnown(key) };
}
