// An instance of event-ingest in a process of its own, to be killed: node lone-instance.ts, with the variables that the service takes. Tells its port to its parent.
import { createKysely, createPool } from '@millrace/database';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { configSchema } from '../src/config.ts';
import type { EventsSchema } from '../src/database.ts';
import { NOBODY_ERASED } from '../src/erased-users.ts';
import { directEvent, eventRoutes } from '../src/event.routes.ts';
import { createInteractionStore } from '../src/interaction.repository.ts';
import { createItemCache } from '../src/item-cache.ts';
import { findItems } from '../src/item.repository.ts';
import { createMonthPartitions } from '../src/month-partitions.ts';
import { openIngest } from '../src/open-ingest.ts';
import { openQuarantine } from '../src/open-quarantine.ts';

const config = configSchema.parse({ INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-', ...process.env });
const [logger, metrics] = [createLogger('test', 'silent'), createMetrics('test')];
const pool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'lone', max: 4 });
const db = createKysely<EventsSchema>(pool);
const items = createItemCache({ load: (skus) => findItems(db, skus) });
const { door } = await openIngest({ config, logger, metrics, onClose: () => undefined, store: createInteractionStore(pool, createMonthPartitions(pool)), items, erased: NOBODY_ERASED });
const { quarantine } = openQuarantine({ config, logger, metrics, onClose: () => undefined, erased: NOBODY_ERASED });
const verifier = { verify: async () => ({ issuer: 'gateway', subject: 'key_1', scopes: ['events:write'] }) };
const app = createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), eventRoutes({ door, quarantine })], direct: [directEvent({ door, verifier })] });
process.send?.((await startHttpServer(app, { host: '127.0.0.1', port: 0 })).port);
