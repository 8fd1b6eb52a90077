import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { openIdentityVerifier, runService } from '@millrace/service';
import { configSchema } from './config.ts';
import { openLookup } from './open-lookup.ts';

void runService({
  name: 'ut360-lookup',
  configSchema,
  async start(context) {
    const { config, logger, metrics, onClose } = context;
    const { handlers, direct, housekeeping, pointer } = await openLookup(context);
    const verifier = await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'ut360-lookup');
    const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), ...handlers], direct: direct(verifier) }), { host: config.HOST, port: config.PORT });
    onClose(() => server.close());
    const timer = setInterval(() => void housekeeping.check(), config.UT360_CHECK_MS);
    onClose(() => clearInterval(timer));
    logger.info({ port: server.port, generation: pointer.current.redis }, 'listening');
  },
});
