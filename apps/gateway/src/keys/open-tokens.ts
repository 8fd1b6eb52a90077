import type { ServiceContext } from '@millrace/service';
import { z } from 'zod';
import { createAuthenticateToken } from './authenticate-token.ts';
import type { AuthenticateToken } from './authenticate-token.ts';
import { openKeyFile, openRemoteKeySet } from './key-set.ts';

const claim = z.string().min(1).max(200);

/** For people: tokens of an identity provider. All of them, or none. */
export const tokenVariables = {
  JWT_ISSUER: z.string().min(1).optional().describe('Identity provider whose tokens (JWT) are taken in Authorization, as their iss says; without it only API keys are'),
  JWT_AUDIENCE: z.string().min(1).optional().describe('This installation, as aud of the tokens says'),
  JWT_JWKS_URL: z.url({ protocol: /^https?$/ }).optional().describe("The provider's public keys; https:// under NODE_ENV=production"),
  JWT_JWKS_FILE: z.string().min(1).optional().describe('The same from a file, instead; read at the start'),
  JWT_ROLES_CLAIM: claim.default('roles').describe('Claim with the roles viewer, editor, ops, pii: a list, or a text with spaces; realm_access.roles is roles in realm_access'),
  JWT_WORKSPACE_CLAIM: claim.default('workspace_id').describe('Claim with the workspace; tokens without it are of `default`'),
};
const tokenSchema = z.object({ NODE_ENV: z.string(), ...tokenVariables });
type TokenVariables = z.output<typeof tokenSchema>;

/** For `superRefine`: half a configuration must not look like a whole one. */
export function checkTokenVariables(env: TokenVariables, ctx: z.RefinementCtx): void {
  const issue = (name: string, message: string): void => ctx.addIssue({ code: 'custom', path: [name], message });
  const isWanted = [env.JWT_ISSUER, env.JWT_AUDIENCE, env.JWT_JWKS_URL, env.JWT_JWKS_FILE].some((value) => value !== undefined);
  if (!isWanted) return;
  if (env.JWT_ISSUER === undefined) issue('JWT_ISSUER', 'is required where tokens are taken');
  if (env.JWT_ISSUER === 'gateway') issue('JWT_ISSUER', 'must not be gateway: that is how tokens of this installation call themselves');
  if (env.JWT_AUDIENCE === undefined) issue('JWT_AUDIENCE', 'is required where tokens are taken');
  if ((env.JWT_JWKS_URL === undefined) === (env.JWT_JWKS_FILE === undefined)) issue('JWT_JWKS_URL', 'exactly one of JWT_JWKS_URL and JWT_JWKS_FILE is required where tokens are taken');
  if (env.NODE_ENV === 'production' && env.JWT_JWKS_URL?.startsWith('http:') === true) issue('JWT_JWKS_URL', 'must be https:// under NODE_ENV=production');
}

/** Undefined where no issuer is configured: keys only. Does not wait for the issuer. */
export async function openTokens({ config, logger, onClose }: Pick<ServiceContext<TokenVariables>, 'config' | 'logger' | 'onClose'>): Promise<AuthenticateToken | undefined> {
  const { JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWT_JWKS_URL: url, JWT_JWKS_FILE: file } = config;
  if (issuer === undefined || audience === undefined) return undefined;
  const keySet = file === undefined ? openRemoteKeySet(new URL(url ?? ''), { logger }) : await openKeyFile(file);
  onClose(() => keySet.close());
  return createAuthenticateToken({ keyOf: keySet.keyOf, issuer, audience, claims: { roles: config.JWT_ROLES_CLAIM, workspace: config.JWT_WORKSPACE_CLAIM } });
}
