import { getCaller } from '@millrace/contracts';
import { identityOf, ok } from '@millrace/http';
import { localRoute } from '../local-route.ts';
import type { LocalRoutes } from '../local-route.ts';

/** GET /api/me: what the route table found out about who calls. */
export const callerRoute = (): LocalRoutes =>
  localRoute(getCaller, async ({ req }) => {
    const { subject = '', workspaceId = '', scopes = [] } = identityOf(req) ?? {};
    return ok({ id: subject, kind: subject.startsWith('user:') ? ('user' as const) : ('secret' as const), workspace_id: workspaceId, scopes: [...scopes] });
  });
