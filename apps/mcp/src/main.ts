import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { openIdentityVerifier, runService } from '@millrace/service';
import { configSchema } from './config.ts';
import { openMcp } from './open-mcp.ts';

void runService({
  name: 'mcp',
  configSchema,
  async start(context) {
    const { config, logger, metrics, onClose } = context;
    const routes = await openMcp(context);
    const verifier = await openIdentityVerifier(config.INTERNAL_JWKS_FILE, 'mcp');
    const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), routes] }), { host: config.HOST, port: config.PORT });
    onClose(() => server.close());
    logger.info({ port: server.port }, 'listening');
  },
});
