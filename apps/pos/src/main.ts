import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { openIdentitySigner, openIdentityVerifier, runService } from '@millrace/service';
import { configSchema } from './config.ts';
import { openPos } from './open-pos.ts';

void runService({
  name: 'pos',
  configSchema,
  async start(context) {
    const { config, logger, metrics, onClose } = context;
    const signer = await openIdentitySigner(config.INTERNAL_KEY_FILE);
    const { handlers, worker } = await openPos({ ...context, signer });
    const verifier = await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'pos');
    const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), ...handlers] }), { host: config.HOST, port: config.PORT });
    onClose(() => server.close());
    logger.info({ port: server.port, isConfigured: worker !== undefined }, 'listening');
  },
});
