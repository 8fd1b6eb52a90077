import type { ToolCaller } from '@millrace/mcp-tools';
import { identityOf } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { IdentityVerifier } from '@millrace/service';
import type { Request } from 'express';

/** Where the gateway puts the token for calls back to it. */
export const GATEWAY_TOKEN_HEADER = 'x-millrace-gateway-token';
/** Its audience. */
export const GATEWAY = 'gateway';

export interface McpCaller {
  readonly caller: ToolCaller;
  /** For the gateway, in the caller's name. */
  readonly token: string;
}

/**
 * Who calls, and the token to call back with. Throws unauthenticated where the second token is missing, forged, too old or for another service, and where it is
 * somebody else's than the first.
 */
export async function callerOf(req: Request, gatewayTokens: IdentityVerifier): Promise<McpCaller> {
  const identity = identityOf(req);
  const token = req.get(GATEWAY_TOKEN_HEADER);
  if (!identity || token === undefined) throw new AppError('unauthenticated', 'this port takes calls of the gateway only, with the token for calls back to it');
  const second = await gatewayTokens.verify(token);
  if (second.issuer !== GATEWAY || second.subject !== identity.subject || second.workspaceId !== identity.workspaceId) throw new AppError('unauthenticated', 'the two tokens of this call are not of one caller');
  return { token, caller: { id: identity.subject, workspaceId: identity.workspaceId ?? 'default', scopes: identity.scopes } };
}
